"""Folders of the packages, and the README with absolute links; everything else is in pyproject.toml.

The folders are at the top of the repository; links in src/aotlab point to them. If links are lost, as in zip archives
and on Windows, a mapping replaces them; type checkers do not follow it.
"""

import os
import re
from pathlib import Path

from setuptools import find_packages, setup

FOLDERS = ("configs", "dataloaders", "engine", "evaluation", "jobs", "media", "networks", "tools", "utils")
folders: dict[str, str] = {}
packages = find_packages("src")
if not os.path.isdir("src/aotlab/utils"):
    folders = {f"aotlab.{name}": name for name in (*FOLDERS, "pretrain_models")}
    found = find_packages(include=[name for folder in FOLDERS for name in (folder, f"{folder}.*")])
    packages = ["aotlab", *(f"aotlab.{name}" for name in found)]
readme = Path("README.md").read_text(encoding="utf-8")
setup(
    packages=[*packages, "aotlab.pretrain_models"],
    package_dir={"": "src", **folders},
    long_description=re.sub(r"\]\((?!https://)", "](https://github.com/aotlab/aotlab/blob/main/", readme),
    long_description_content_type="text/markdown",
)
