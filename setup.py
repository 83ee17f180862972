"""Packages of a checkout without symbolic links; everything else is in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class BuildWithoutLinks(build_py):
    """Adds the folders at the top of the repository to which src/aotlab has no links, but text files of their names."""

    def finalize_options(self):
        project = self.distribution
        for folder in (file.name for file in Path("src/aotlab").iterdir() if file.is_file()):
            if Path(folder).is_dir():
                for name in (folder, *(f"{folder}.{package}" for package in find_packages(folder))):
                    project.packages.append(f"aotlab.{name}")
                    project.package_dir[f"aotlab.{name}"] = name.replace(".", "/")
                project.package_data[f"aotlab.{folder}"] = [
                    *project.package_data.get(f"aotlab.{folder}", []), "*.safetensors",
                ]  # fmt: skip
        super().finalize_options()


setup(cmdclass={"build_py": BuildWithoutLinks})
