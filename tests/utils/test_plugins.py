"""Plug-ins: a third package of ten lines adds an output and a mask reader; commands: tools/cli/test_command."""

import hashlib
import re
from importlib.metadata import EntryPoint

import numpy as np
import pytest

import aotlab
import aotlab.sdk
from aotlab.configs.files import ROOT
from aotlab.media.annotations import find_mask_writer
from aotlab.media.regions import VideoInfo
from aotlab.runs.inputs import read_annotations
from aotlab.runs.outputs import make_output
from aotlab.utils import plugins
from aotlab_testing.drawn_clips import write_plain
from aotlab_testing.video.runs import Repeater, save, track
from aotlab_testing.video.stored_results import write_results

PACKAGE = """
import numpy as np
from aotlab.sdk import Annotations, Output, Region, encode_rle
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
    offer(plugins.MASK_READER_PLUGINS, box=read)
    with pytest.raises(AttributeError, match="no_such_name"):
        read_annotations(tmp_path / "first.box", VideoInfo("clip", (32, 32)))


def test_tracked_masks_need_no_reader(tmp_path, offer):
    offer(plugins.MASK_READER_PLUGINS, box=lambda path, video: pytest.fail("asked"))
    write_results(tmp_path, labels=np.full((32, 32), 5, np.uint8))
    assert read_annotations(tmp_path, VideoInfo("clip", (32, 32), 1)).objects() == [5]


def test_error_names_the_broken_plugin_without_a_package():
    with pytest.raises(aotlab.InputError, match=r"box: nowhere:read does not load \(No module"):
        plugins.load_plugin(EntryPoint("box", "nowhere:read", plugins.MASK_READER_PLUGINS))


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
        (plugins.MASK_READER_PLUGINS, lambda path: None, "(path, video)"),
        (plugins.OUTPUT_PLUGINS, lambda: None, "(options)"),
    ],
)
def test_entry_point_with_other_arguments_rejected(group, wrong, expected, monkeypatch):
    monkeypatch.setattr(EntryPoint, "load", lambda point: wrong)
    with pytest.raises(aotlab.InputError, match=re.escape(f"too many positional arguments; expected {expected}")):
        plugins.load_plugin(EntryPoint("mine", "mine:wrong", group))


def write_plugin(folder, text):
    path = folder / "mine.py"
    path.write_text(text)
    return path


def test_loaded_file_offers_its_objects(tmp_path, unload):
    text = """
from __future__ import annotations
from dataclasses import dataclass
@dataclass
class Spread:
    every: int = 2
memory_policies = {"spread": Spread}
losses = {"focal": print}
"""
    path = write_plugin(tmp_path, text)
    plugins.load_plugin_file(path)
    assert plugins.find_plugin(plugins.POLICY_PLUGINS, "spread")().every == 2
    assert plugins.find_plugin(plugins.LOSS_PLUGINS, "focal") is print
    assert plugins.list_plugin_names(plugins.POLICY_PLUGINS) == ["spread"]
    origin = {"file": "mine.py", "sha256": hashlib.sha256(text.encode()).hexdigest()}
    assert plugins.describe_plugin(plugins.LOSS_PLUGINS, "focal") == origin


def test_plugin_file_runs_once(tmp_path, unload, capsys):
    path = write_plugin(tmp_path, "print('run')\nlosses = {}")
    for name in (path, tmp_path / ".." / tmp_path.name / "mine.py"):
        plugins.load_plugin_file(name)
    assert capsys.readouterr().out == "run\n"


BROKEN = {
    "import missing_module": r"does not load \(line 1: ModuleNotFoundError: No module named 'missing_module'",
    "\nx = (": r"does not load \(line 2: SyntaxError: '\(' was never closed\)",
    "\n\nraise SystemExit('bye')": r"does not load \(line 3: SystemExit: bye\); correct it",
    "x = 1": "offers nothing; define one of the dicts methods, memory_policies, encoders, losses",
    "losses = [1]": "losses must be a dict by name",
    "losses = {'bce': 1}": "losses: bce is already the name of one in aotlab; choose another name",
}


@pytest.mark.parametrize("text", BROKEN)
def test_broken_plugin_file_is_named_with_the_cause(tmp_path, unload, text):
    path = write_plugin(tmp_path, text)
    with pytest.raises(aotlab.InputError, match=f"mine.py: {BROKEN[text]}"):
        plugins.load_plugin_file(path, {plugins.LOSS_PLUGINS: ["bce"]})
    assert path not in plugins._loaded_files


def test_missing_plugin_file_rejected(tmp_path, unload):
    with pytest.raises(aotlab.InputError, match=r"no\.py: no such file; give another file"):
        plugins.load_plugin_file(tmp_path / "no.py")


def test_name_in_two_plugin_files_rejected(tmp_path, unload):
    plugins.load_plugin_file(write_plugin(tmp_path, "losses = {'focal': print}"))
    other = tmp_path / "other.py"
    other.write_text("losses = {'focal': print}")
    with pytest.raises(aotlab.InputError, match=r"other\.py: losses: focal is already the name of one in .*mine\.py"):
        plugins.load_plugin_file(other)


def test_unknown_plugin_rejected_with_similar_name(tmp_path, unload, monkeypatch):
    monkeypatch.setattr(plugins, "_read_entry_points", lambda group, path: [])
    with pytest.raises(
        aotlab.InputError, match="loss fcal: unknown; no plug-in provides it; install the plug-in's package or"
    ):
        plugins.find_plugin(plugins.LOSS_PLUGINS, "fcal")
    plugins.load_plugin_file(write_plugin(tmp_path, "losses = {'focal': print}"))
    with pytest.raises(aotlab.InputError, match=r"no plug-in .*; plug-ins offer focal; did you mean focal\?"):
        plugins.find_plugin(plugins.LOSS_PLUGINS, "fcal")
