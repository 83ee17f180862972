"""Installs the project as the package ``aotlab``: ``pip install -e '.[all]'`` (plain ``.``: the tracker on arrays)."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
CORE = [
    "torch>=2.4",
    "torchvision>=0.19",
    "timm>=1.0",
    "numpy>=1.26",
    "Pillow>=10.0",
    "omegaconf>=2.3",
    "safetensors>=0.4",
    "PyYAML>=6.0",
    "huggingface_hub>=0.24",
    "filelock>=3.20",
    "platformdirs>=4.0",
]
EXTRAS = {
    "video": ["av>=12.0", "opencv-python-headless>=4.8", "pycocotools>=2.0.7", "tqdm>=4.65"],
    "train": [
        "opencv-python-headless>=4.8",
        "scipy>=1.11",
        "pycocotools>=2.0.7",
        "tqdm>=4.65",
        "tensorboard>=2.14",
        "matplotlib>=3.8",
    ],
    "score": ["opencv-python-headless>=4.8", "scipy>=1.11", "pycocotools>=2.0.7", "tqdm>=4.65"],
    "ui": ["starlette>=0.37", "uvicorn>=0.30", "websockets>=12.0", "av>=12.0", "opencv-python-headless>=4.8"],
    "pictures": ["tifffile>=2024.1", "imagecodecs>=2024.1", "OpenEXR>=3.3"],
    "weights": ["gdown>=6.3"],
    "vot": ["vot-trax>=4.0"],
    "hota": ["trackeval>=1.3"],
    "export": ["onnx>=1.16", "onnxscript>=0.2", "onnxruntime>=1.20"],
}
"""what each use needs beside the core"""
# not part of "all": TrackEval brings the OpenCV with windows, which overwrites the headless one and needs libGL and X11
EXTRAS["all"] = sorted({name for extra, names in EXTRAS.items() if extra != "hota" for name in names})
EXTRAS["test"] = [
    *EXTRAS["all"],
    "hypothesis>=6.100",
    "pytest>=8.0",
    "playwright>=1.45",
    "httpx>=0.27",
    "pytest-xdist>=3.5",
    "ruff>=0.6",
    "mypy>=1.10",
    "build>=1.0",
]


def version() -> str:
    """The version that src/aotlab/__init__.py states."""
    found = re.search(
        r'^__version__ = "(.+)"', (HERE / "src" / "aotlab" / "__init__.py").read_text(), re.MULTILINE
    )
    assert found is not None
    return found[1]


setup(
    name="aotlab",
    version=version(),
    description="Video object segmentation with AOT: train, benchmark, and track objects in any video",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=[*find_packages("src"), "aotlab.pretrain_models"],
    # src/aotlab links to the folders at the top, so an editable install is a path that type checkers follow too.
    package_dir={"": "src"},
    package_data={
        "aotlab": ["py.typed"],
        "aotlab.configs": ["*/*.yaml"],
        "aotlab.annotation": ["page/*"],
        "aotlab.pretrain_models": ["aott_mini.safetensors"],
    },
    include_package_data=False,
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["aotlab = aotlab.tools.main:main"]},
)
