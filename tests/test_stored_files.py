"""Files that released versions have written are opened, rendered, scored and continued, in another folder."""

import json
import os
import re
import zipfile

import numpy as np
import pytest

import aotlab
import aotlab_runtime
from aotlab import load_model, read_mask
from aotlab.sdk import load_plugins
from aotlab.tools.main import main
from aotlab_testing.files import read_files
from aotlab_testing.stored_files import ARCHIVES, unpack
from aotlab_video import Results, open_frames

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="the stored paths are absolute on other systems only"),
    pytest.mark.usefixtures("unload"),  # each test loads the plug-in of its own folder
]
MODEL = "--checkpoint", "training/whole/video.safetensors", "--plugin", "encoder.py", "--device", "cpu"
MASK = "track", "video", "--mask", "first.png", *MODEL
BENCHMARK = "--dataset", "mose", "--split", "train", "--root", "benchmark"
RECORD = "results.json"
MIN_EQUAL = 0.995
"""Fraction of pixels that are equal on every processor, whose sums differ in rounding: all but some at edges."""


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


def read_losses(log):
    lines = map(json.loads, log.read_text().splitlines())
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.stem)
def test_stored_files_name_no_folder_of_a_machine(archive):
    with zipfile.ZipFile(archive) as files:
        texts = [files.read(name) for name in files.namelist()]
    found = {path for text in texts for path in re.findall(rb"/(?:home|root|tmp|Users|work|workspace)/\w+", text)}
    assert found == set()


def test_stored_checkpoint_tracks(stored):
    run(*MASK, "--strict", "--write", "masks", "--output", "new")
    assert_masks(stored / "new" / "masks", stored / "whole" / "masks")
    assert len(np.unique(read_masks(stored / "whole" / "masks"))) == 3


def test_stored_training_state_continues(stored, caplog):
    output, options = stored / "training" / "interrupted", ("train.phases.0.steps=12", "train.log_every=1")
    before = read_losses(output / "log.jsonl")
    line = "train", "--config", "training/recipe.yaml", "--plugin", "encoder.py", "--device", "cpu", "--log", "csv"
    run(*line, *options, "train.output=training/interrupted")
    losses = read_losses(output / "log.jsonl")
    assert list(losses) == list(range(1, 13))
    assert losses.items() >= before.items()
    # rounding grows from step to step; a run that starts over has losses above 1.2
    assert losses == pytest.approx(read_losses(stored / "training" / "short.jsonl"), abs=0.05)
    assert not [message for message in caplog.messages if " with other " in message]
    load_plugins(["encoder.py"])
    assert load_model(output / "video.safetensors")[1].name == "small"


def test_outputs_of_stored_results_are_the_same(stored):
    before = read_files(stored / "tracked")
    run("render", "tracked", "--write", "coco,mattes16,review,objects")
    after = read_files(stored / "tracked")
    assert [path for path in before if path != RECORD and after[path] != before[path]] == []
    assert len([path for path in after if path.startswith("objects/")]) == 8


@pytest.mark.parametrize(("name", "line"), [
    ("whole", MASK),
    ("tracked", (*MASK, "--class", "rabbit", "--end", 3)),
    ("boxed", ("track", "video", "--box", "6,10,26,26", "--negative-point", "60,50", "--both-directions", *MODEL)),
])  # fmt: skip
def test_stored_results_are_reused(stored, steps, name, line):
    before = read_files(stored / name)
    run(*line, "--write", "masks", "--output", name)
    after = read_files(stored / name)
    assert {path: after[path] for path in after if path != RECORD} == {
        path: before[path] for path in before if path != RECORD
    }
    assert steps == []


def test_stored_unfinished_results_continue(stored, steps):
    before = read_files(stored / "unfinished" / "masks")
    run(*MASK, "--write", "masks", "--output", "unfinished")
    assert len(steps) == 2
    assert read_files(stored / "unfinished" / "masks").items() >= before.items()
    assert_masks(stored / "unfinished" / "masks", stored / "whole" / "masks")


def test_stored_evaluation_is_scored_and_packed(stored):
    run("score", *BENCHMARK, "evaluated", "--json", "scores.json", "--workers", 1)
    expected, found = (json.loads((stored / name).read_text()) for name in ("evaluated/scores.json", "scores.json"))
    for name in ("J&F", "J", "F"):
        assert found[name] == pytest.approx(expected[name])
    run("submit", *BENCHMARK, "--results", "evaluated", "--output", "masks.zip")
    with zipfile.ZipFile("masks.zip") as archive:
        packed = {name: archive.read(name) for name in archive.namelist() if name.endswith(".png")}
    assert packed == read_files(stored / "evaluated", "*.png")


@pytest.mark.parametrize(("name", "frames"), [("evaluated", 0), ("evaluated_one", 6)])
def test_stored_evaluation_continues(stored, steps, name, frames):
    run("eval", *BENCHMARK, *MODEL, "--output", name)
    assert len(steps) == frames
    for sequence in ("first", "second"):
        assert_masks(stored / name / sequence, stored / "evaluated" / sequence)


def test_stored_votes_are_reused(stored):
    before = {path: path.stat().st_mtime_ns for path in stored.glob("voted/*/*.png")}
    run("ensemble", "evaluated", "evaluated", "--output", "voted")
    assert {path: path.stat().st_mtime_ns for path in stored.glob("voted/*/*.png")} == before


@pytest.mark.parametrize("start", [0, 3])
def test_stored_export_tracks(stored, start):
    tracker, expected = (
        aotlab_runtime.Tracker.from_export("exported", threads=1),
        read_masks(stored / "whole" / "masks"),
    )
    if start:
        tracker.load_state_dict(np.load("exported_state.npz"))
    frames = list(open_frames("video"))[start:]
    found = [tracker.step(frame, expected[0] if index == 0 else None) for index, frame in enumerate(frames, start)]
    labels = np.stack([prediction.labels for prediction in found])
    assert (labels == expected[start:]).mean() >= MIN_EQUAL


@pytest.mark.parametrize("options", [(), ("--force",)])
def test_stored_list_keeps_what_a_person_corrected(stored, steps, options):
    before = read_files(stored / "list" / "results", "*.png")
    run("track", "--jobs", "list/clips.csv", "--output", "list/results", *MODEL, "--write", "masks,coco", *options)
    assert (read_files(stored / "list" / "results", "*.png"), steps) == (before, [])
    assert Results.read(stored / "list" / "results" / "exported").protected
    summary = (stored / "list" / "results" / "summary.csv").read_text().splitlines()
    assert [line.split(",")[:4] for line in summary[1:]] == [
        ["exported", "done", "6", ""], ["edited", "done", "6", ""], ["tracked", "done", "6", ""]
    ]  # fmt: skip
