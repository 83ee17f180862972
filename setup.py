"""Folders of the packages; everything else is in pyproject.toml.

Wheels take the packages from the top of the repository; an editable install is the path src, as type checkers expect.
"""

import sys

from setuptools import find_packages, setup

FOLDERS = ("configs", "dataloaders", "engine", "evaluation", "media", "networks", "tools", "utils", "video")
found = find_packages(include=[name for folder in FOLDERS for name in (folder, f"{folder}.*")])
folders = (
    {} if "editable_wheel" in sys.argv else {f"aotlab.{name}": name for name in (*FOLDERS, "pretrain_models")}
)
packages = [f"aotlab.{name}" for name in (*found, "pretrain_models")] if folders else []
setup(packages=["aotlab", *packages], package_dir={"": "src", **folders})
