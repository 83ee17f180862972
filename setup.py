"""Folders of the packages, their commit, and the README with absolute links; everything else is in pyproject.toml.

The folders are at the top of the repository, and links in src/aotlab point to them. In zip archives and on Windows, a
link becomes a file that contains its target; such links are replaced by a mapping, which type checkers do not follow.
"""

import re
import runpy
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

lost_links = [path.name for path in Path("src/aotlab").iterdir() if path.is_file() and not path.suffix]
provenance = runpy.run_path("utils/provenance.py" if lost_links else "src/aotlab/utils/provenance.py")


class BuildWithCommit(build_py):
    """Build of a package with the commit of its checkout."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            commit = provenance["read_commit"](Path())
            Path(self.build_lib, "aotlab", provenance["COMMIT_FILE"]).write_text(commit, encoding="utf-8")


mapped = find_packages(include=[name for link in lost_links for name in (link, f"{link}.*")])
readme = Path("README.md").read_text(encoding="utf-8")
setup(
    packages=[*find_packages("src"), *(f"aotlab.{name}" for name in mapped), "aotlab.pretrain_models"],
    cmdclass={"build_py": BuildWithCommit},
    package_dir={"": "src", **{f"aotlab.{name}": name for name in lost_links}},
    long_description=re.sub(r"\]\((?!https://)", "](https://github.com/aotlab/aotlab/blob/main/", readme),
    long_description_content_type="text/markdown",
)
