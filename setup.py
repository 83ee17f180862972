"""Installs the framework: ``pip install -e .`` (``[test]`` adds the test tools, ``[export]`` ONNX)."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
PACKAGES = ("utils", "configs", "networks", "dataloaders", "evaluation", "engine", "tools")


def requirements(name: str) -> list[str]:
    """Lines of a requirements file that name a distribution."""
    lines = (HERE / name).read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith(("#", "-r"))]


setup(
    name="aotlab",
    version="0.1.0",
    description="Video object segmentation with AOT: train, benchmark, and track objects in any video",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=[name for name in find_packages() if name.split(".")[0] in PACKAGES],
    package_data={"configs": ["*/*.yaml"]},
    install_requires=requirements("requirements.txt"),
    extras_require={
        "export": requirements("requirements-export.txt"),
        "test": requirements("requirements-test.txt") + requirements("requirements-export.txt"),
    },
)
