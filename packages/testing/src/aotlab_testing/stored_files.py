"""Archives of files that released versions have written; see `packages/testing/stored/write.py`."""

import shutil

import numpy as np
import pytest

import aotlab
from aotlab import read_mask
from aotlab.configs.files import ROOT
from aotlab.tools.main import main
from aotlab.utils.run_folder import RECORD
from aotlab_testing.files import read_files

ARCHIVES = sorted((ROOT / "packages/testing/stored").glob("*.zip"))
MODEL = "--checkpoint", "training/whole/video.safetensors", "--plugin", "encoder.py", "--device", "cpu"
MIN_EQUAL = 0.995
"""Fraction of pixels that are equal on every processor, whose sums differ in rounding: all but some at edges."""


def unpack(archive, folder):
    """Unpack an archive into a folder other than the one that its files name; return the folder."""
    shutil.unpack_archive(archive, folder)
    return folder


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.stem)
def stored(request, tmp_path, monkeypatch):
    """The files of a version, in the working directory."""
    folder = unpack(request.param, tmp_path / "moved")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def steps(monkeypatch):
    """The frames that trackers of this process have tracked."""
    counted, step = [], aotlab.Tracker.step

    def count_step(self, frame, *args, **options):
        counted.append(frame)
        return step(self, frame, *args, **options)

    monkeypatch.setattr(aotlab.Tracker, "step", count_step)
    return counted


def run(*words, status=0):
    assert main([str(word) for word in words]) == status


def read_masks(folder):
    return np.stack([read_mask(path) for path in sorted(folder.glob("*.png"))])


def assert_masks(folder, expected):
    """Compare masks up to rounding."""
    found, expected = read_masks(folder), read_masks(expected)
    assert found.shape == expected.shape
    assert (found == expected).mean() >= MIN_EQUAL


def assert_outputs_are_the_same(folder, names):
    """Write outputs of stored results again, and compare all files of the folder with those before."""
    before = read_files(folder)
    run("render", folder, "--write", names)
    after = read_files(folder)
    assert [path for path in before if path != RECORD and after[path] != before[path]] == []
