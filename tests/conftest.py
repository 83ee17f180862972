"""Fixtures of the framework's tests; copies of the checkout and environments for them."""

import os
import shutil
import sys
import venv

import pytest

from aotlab.configs.files import ROOT
from aotlab_testing.fixtures import (
    closed_folder,
    file_server,
    models,
    offer,
    read_error_line,
    run_expecting_error,
    small_tracker,
    unload,
)

__all__ = [
    "closed_folder", "file_server", "models", "offer", "read_error_line", "run_expecting_error", "small_tracker",
    "unload",
]  # fmt: skip


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """A copy of the sources, as a clone has them."""
    copy = tmp_path_factory.mktemp("clone") / "aotlab"
    left_out = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "outputs", "results", "shared")
    shutil.copytree(ROOT, copy, ignore=left_out, symlinks=True)
    return copy


@pytest.fixture
def environment(tmp_path):
    """A fresh environment that shares this one's libraries, but not this project."""
    folder = tmp_path / "venv"
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages")
    shared = [entry for entry in sys.path if entry.endswith("site-packages")]
    (packages / "shared.pth").write_text("\n".join(shared) + "\n")
    return folder
