"""Folders of the packages; everything else is in pyproject.toml.

They are at the top of the repository, where links in src/aotlab lead. Where links do not survive, as in zip archives
and on Windows, a mapping has the same effect; type checkers do not follow it.
"""

import os

from setuptools import find_packages, setup

FOLDERS = ("configs", "dataloaders", "engine", "evaluation", "media", "networks", "tools", "utils", "video")
folders: dict[str, str] = {}
packages = find_packages("src")
if not os.path.isdir("src/aotlab/utils"):
    folders = {f"aotlab.{name}": name for name in (*FOLDERS, "pretrain_models")}
    found = find_packages(include=[name for folder in FOLDERS for name in (folder, f"{folder}.*")])
    packages = ["aotlab", *(f"aotlab.{name}" for name in found)]
setup(packages=[*packages, "aotlab.pretrain_models"], package_dir={"": "src", **folders})
