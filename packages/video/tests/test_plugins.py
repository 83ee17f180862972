"""Plug-ins that read masks and write outputs: a third package of ten lines, and faults."""

import re
from importlib.metadata import EntryPoint

import numpy as np
import pytest

import aotlab
import aotlab.sdk
from aotlab.configs.files import ROOT
from aotlab.utils import plugins
from aotlab_testing.drawn_clips import write_plain
from aotlab_testing.video.runs import Repeater, save, track
from aotlab_testing.video.stored_results import write_results
from aotlab_video.masks.annotations import find_mask_writer
from aotlab_video.masks.regions import VideoInfo
from aotlab_video.plugins import MASK_READER_PLUGINS, OUTPUT_PLUGINS
from aotlab_video.runs.inputs import read_annotations
from aotlab_video.runs.outputs import make_output

PACKAGE = """
import numpy as np
from aotlab.sdk import encode_rle
from aotlab_video import Annotations, Output, Region
def read(path, video):
    if path.suffix != ".box":
        return None
    mask = np.zeros(video.size, bool)
    mask[4:20, 4:20] = True
    return Annotations(video.size, {0: [Region(7, encode_rle(mask))]})
class Areas(Output):
    file_name, description, areas = "areas.txt", "area of all objects by frame", ""
    def write(self, frame):
        self.areas += f"{frame.name} {(frame.labels > 0).sum()}\\n"
    def finish(self):
        self.path.write_text(self.areas)
        return f"areas of {len(self.areas.splitlines())} frames"
"""

ENTRY_POINTS = """
[aotlab.mask_readers]
box = third:read
[aotlab.outputs]
areas = third:Areas
"""


def test_third_package_adds_reader_and_output(tmp_path, monkeypatch, capsys):
    info = tmp_path / "site" / "third-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "site" / "third.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr("aotlab.engine.tracking.tracker.Tracker", Repeater)
    clip = write_plain(tmp_path / "clip", 2, (32, 32))
    (tmp_path / "first.box").write_text("anything")
    assert track(clip, tmp_path, tmp_path / "first.box", args=["--write", "areas"]) == 0
    assert (tmp_path / "out" / "areas.txt").read_text() == "00000 256\n00001 256\n"
    assert "areas of 2 frames" in capsys.readouterr().out


def test_output_of_the_page_is_written(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "howto" / "integrations.md").read_text(encoding="utf-8")
    info = tmp_path / "site" / "areas-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: areas\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aotlab.outputs]\nareas = areas:Areas\n")
    (tmp_path / "site" / "areas.py").write_text(re.search(r"```python\n(import csv.*?)```", page, re.DOTALL)[1])
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr("aotlab.engine.tracking.tracker.Tracker", Repeater)
    clip = write_plain(tmp_path / "clip", 2, (32, 32))
    assert track(clip, tmp_path, save(tmp_path / "first.png", 3, size=(32, 32)), args=["--write", "areas"]) == 0
    assert (tmp_path / "out" / "areas.csv").read_text().split() == ["00000,3,object,256", "00001,3,object,256"]


def test_crash_of_a_mask_reader_is_not_blamed_on_the_file(tmp_path, offer):
    def read(path, video):
        return video.no_such_name

    (tmp_path / "first.box").write_text("anything")
    offer(MASK_READER_PLUGINS, box=read)
    with pytest.raises(AttributeError, match="no_such_name"):
        read_annotations(tmp_path / "first.box", VideoInfo("clip", (32, 32)))


def test_tracked_masks_need_no_reader(tmp_path, offer):
    offer(MASK_READER_PLUGINS, box=lambda path, video: pytest.fail("asked"))
    write_results(tmp_path, labels=np.full((32, 32), 5, np.uint8))
    assert read_annotations(tmp_path, VideoInfo("clip", (32, 32), 1)).objects() == [5]


@pytest.mark.parametrize(
    ("find", "name"), [(make_output, "exr"), (make_output, "review"), (make_output, "yolo"), (find_mask_writer, "cvat")]
)
def test_name_of_missing_plugin_rejected(monkeypatch, find, name):
    monkeypatch.setattr(plugins, "_read_entry_points", lambda group, path: [])
    page = "for others, see https://aotlab.github.io/aotlab/formats.html"
    with pytest.raises(aotlab.InputError, match=f"{name}: not one of .*coco; {page}"):
        find(name)


@pytest.mark.parametrize(
    ("group", "wrong", "expected"),
    [
        (MASK_READER_PLUGINS, lambda path: None, "(path, video)"),
        (OUTPUT_PLUGINS, lambda: None, "(options)"),
    ],
)
def test_entry_point_with_other_arguments_rejected(group, wrong, expected, monkeypatch):
    load = EntryPoint.load
    monkeypatch.setattr(EntryPoint, "load", lambda point: wrong if point.name == "mine" else load(point))
    with pytest.raises(aotlab.InputError, match=re.escape(f"too many positional arguments; expected {expected}")):
        plugins.load_plugin(EntryPoint("mine", "mine:wrong", group))


def test_plugin_file_offers_outputs_and_readers(tmp_path, unload):
    path = tmp_path / "mine.py"
    path.write_text(PACKAGE + 'outputs, mask_readers = {"areas": Areas}, {"box": read}\n')
    plugins.load_plugin_file(path)
    (tmp_path / "first.box").touch()
    assert read_annotations(tmp_path / "first.box", VideoInfo("clip", (32, 32))).objects() == [7]
    assert make_output("areas").description == "area of all objects by frame"
