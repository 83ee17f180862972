"""Models and trackers of tests of the engine and of `aotlab.runs`; copies of the checkout and environments for them."""

import os
import shutil
import sys
import venv
from pathlib import Path

import pytest

from aotlab.configs.files import ROOT
from aotlab.utils import plugins


@pytest.fixture(scope="module")
def models():
    """Each model and its settings, made once."""
    from tests.engine.small_model import build  # imports PyTorch

    three_objects = build("aott", "model.max_objects=3")
    return {"aott": build(), "aotl": build("aotl", "memory.every=2"), "three_objects": three_objects}


@pytest.fixture
def small_tracker(models):
    from aotlab.engine.tracking.tracker import Tracker

    return Tracker(*models["aott"])


@pytest.fixture
def unload(monkeypatch):
    """A function that unloads plug-in files, but not the tests' encoder, whose class must remain the same.

    Files that a test loads are unloaded at its end.
    """
    from tests.engine.small_model import register_tiny_encoder  # imports PyTorch

    register_tiny_encoder()
    kept = {path: file for path, file in plugins._loaded_files.items() if path.name == "tiny_encoder.py"}

    def forget():
        monkeypatch.setattr(plugins, "_loaded_files", {**kept})

    forget()
    return forget


@pytest.fixture
def offer(unload):
    """A function that offers objects by name in a group, as a plug-in file does."""

    def add(group, **objects):
        plugins._loaded_files[Path(f"{group}.py")] = plugins.PluginFile("", {group: objects})

    return add


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
