"""Folders of the packages, and the README with absolute links; everything else is in pyproject.toml.

The folders are at the top of the repository, and links in src/aotlab point to them. In zip archives and on Windows, a
link becomes a file that contains its target; such links are replaced by a mapping, which type checkers do not follow.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

lost_links = [path.name for path in Path("src/aotlab").iterdir() if path.is_file() and not path.suffix]
mapped = find_packages(include=[name for link in lost_links for name in (link, f"{link}.*")])
readme = Path("README.md").read_text(encoding="utf-8")
setup(
    packages=[*find_packages("src"), *(f"aotlab.{name}" for name in mapped), "aotlab.pretrain_models"],
    package_dir={"": "src", **{f"aotlab.{name}": name for name in lost_links}},
    long_description=re.sub(r"\]\((?!https://)", "](https://github.com/aotlab/aotlab/blob/main/", readme),
    long_description_content_type="text/markdown",
)
