"""Plug-ins: a third package of ten lines adds an output and a mask reader; commands: tools/cli/test_parser."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aotlab
from aotlab.engine.video.outputs import find_output
from aotlab.media.annotations import find_mask_writer
from aotlab.utils import plugins

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = """
from aotlab import Annotations, Output, Region, encode_runs
import numpy as np
def read(path, video):
    if path.suffix != ".box":
        return None
    mask = np.zeros(video.size, bool)
    mask[4:20, 4:20] = True
    return Annotations(video.size, {0: [Region(7, encode_runs(mask))]})
class Areas(Output):
    file_name, description, areas = "areas.txt", "area of all objects by frame", ""
    def write(self, name, tracked):
        self.areas += f"{name} {(tracked.labels > 0).sum()}\\n"
    def finish(self):
        self.path.write_text(self.areas)
    def summary(self):
        return f"areas of {len(self.areas.splitlines())} frames"
"""
ENTRY_POINTS = """
[aotlab.mask_readers]
box = third:read
[aotlab.outputs]
areas = third:Areas
"""


def test_third_package_adds_reader_and_output(tmp_path):
    info = tmp_path / "site" / "third-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "site" / "third.py").write_text(PACKAGE)
    path = os.pathsep.join([str(tmp_path / "site"), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    (tmp_path / "clip").mkdir()
    for index in range(2):
        Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(tmp_path / "clip" / f"{index}.png")
    (tmp_path / "first.box").write_text("anything")
    line = "-m aotlab track clip --mask first.box --write areas --output out"
    done = subprocess.run(
        [sys.executable, *line.split()],
        env={**os.environ, "PYTHONPATH": path}, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "areas.txt").read_text().startswith("0 256\n1 ")
    assert "areas of 2 frames" in done.stdout


@pytest.mark.parametrize(
    ("find", "name"), [(find_output, "review"), (find_output, "yolo"), (find_mask_writer, "cvat")]
)
def test_name_of_missing_studio_names_the_package(monkeypatch, find, name):
    monkeypatch.setattr(plugins, "entry_points", lambda group: [])
    words = rf"{name}: needs the package aotlab-studio; pip install 'aotlab\[studio\]'"
    with pytest.raises(aotlab.InputError, match=words):
        find(name)


def test_public_names_resolve_and_are_listed():
    assert {name for name in aotlab.__all__ if not hasattr(aotlab, name)} == set()
    assert set(aotlab.__all__) <= set(dir(aotlab))
