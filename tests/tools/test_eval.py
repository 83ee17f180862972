"""The benchmark program, with a tracker that only repeats its reference mask."""

import json
import os
import tempfile

import numpy as np
import pytest
from PIL import Image

from aotlab.engine.tracking.tracker import BUNDLED_CHECKPOINT, Tracker
from aotlab.media.masks import read_mask, write_mask
from aotlab.tools import eval as tool
from tests.engine.benchmark.painting import PaintingTracker

HEIGHT, WIDTH = 240, 432
"""also frames that are not 480 high are written and scored in their own size"""


@pytest.fixture
def loaded(monkeypatch):
    """Replaces loading a checkpoint; holds the arguments of each load."""
    calls = []

    def from_checkpoint(path, *, config=None, overrides=(), protocol="bounded", device="cpu"):
        calls.append({"path": path, "config": config, "overrides": list(overrides), "device": device})
        assert protocol == "published"
        return PaintingTracker()

    monkeypatch.setattr(Tracker, "from_checkpoint", from_checkpoint)
    return calls


@pytest.fixture
def root(tmp_path):
    """DAVIS 2017 with two sequences of four still frames; the second has two objects."""
    root = tmp_path / "DAVIS"
    for name, objects in (("bear", 1), ("camel", 2)):
        images, masks = (root / kind / "480p" / name for kind in ("JPEGImages", "Annotations"))
        images.mkdir(parents=True)
        labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
        for identity in range(1, objects + 1):
            labels[100:200, 100 * identity : 100 * identity + 60] = identity
        for index in range(4):
            Image.new("RGB", (WIDTH, HEIGHT), (90, 120, 150)).save(images / f"{index:05d}.jpg")
            write_mask(masks / f"{index:05d}.png", labels)
    lists = root / "ImageSets" / "2017"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("bear\ncamel\n")
    return root


def run(root, output, *more, dataset="davis2017"):
    return tool.main(["--dataset", dataset, "--root", str(root), "--output", str(output), *more])


def test_benchmark_run_writes_results_and_scores(root, tmp_path, loaded, capsys):
    assert run(root, tmp_path / "out") == 0
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    assert [scores[key] for key in ("J", "F", "J&F", "J-Recall", "J-Decay", "F-Recall", "F-Decay")] == [
        *(100, 100, 100),
        *(100, 0),
        *(100, 0),
    ]
    assert {name: list(row["objects"]) for name, row in scores["sequences"].items()} == {
        "bear": ["1"],
        "camel": ["1", "2"],
    }
    assert scores["fps"] > 0
    assert scores["failures"] == {}
    assert {read_mask(path).shape for path in (tmp_path / "out/camel").glob("*.png")} == {(HEIGHT, WIDTH)}
    assert "mean of 3 objects" in capsys.readouterr().out


def test_options_reach_the_tracker(root, tmp_path, loaded):
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"weights")
    options = ["--checkpoint", str(mine), "memory.every=2", "--config", "aotl", "--device", "cpu:0", "b.c=3"]
    assert run(root, tmp_path / "out", *options) == 0
    assert loaded == [
        {"path": mine, "config": "aotl", "overrides": ["memory.every=2", "b.c=3"], "device": "cpu:0"}
    ]


def test_memory_options_override_the_preset(root, tmp_path, loaded):
    assert run(root, tmp_path / "out", "--config", "aotl") == 0
    memory = ["--memory", "restricted", "--memory-frames", "4"]
    assert run(root, tmp_path / "out", "--config", "aotl", *memory) == 0
    overrides = ["memory.policy=restricted", "memory.frames=4", "memory.newest=null"]
    assert [call["overrides"] for call in loaded] == [[], overrides]


def test_corrupt_frame_fails_its_sequence_alone(root, tmp_path, loaded, capsys):
    (root / "JPEGImages/480p/bear/00002.jpg").write_bytes(b"nonsense")
    assert run(root, tmp_path / "out") == 1
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    assert list(scores["sequences"]) == ["camel"]
    assert "00002.jpg" in scores["failures"]["bear"]
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("failed: bear: ")


def assert_refused(capsys, status, *words):
    """Status 2 and one line on stderr."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert status == 2
    assert len(lines) == 1
    for word in words:
        assert word in lines[0]


def test_missing_list_file_is_refused_before_loading(root, tmp_path, loaded, capsys):
    status = run(root, tmp_path / "out", "--split", "train")
    assert_refused(capsys, status, "ImageSets/2017/train.txt", "lists here: val")
    assert loaded == []


def test_unknown_sequence_is_refused_before_loading(root, tmp_path, loaded, capsys):
    status = run(root, tmp_path / "out", "--sequence", "beer")
    assert_refused(capsys, status, "sequence beer", "bear")
    assert loaded == []


def test_read_only_output_is_refused_before_loading(root, tmp_path, loaded, capsys, monkeypatch):
    # root may write anywhere, so the refusal of the file system is played
    def refuse(dir):
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert_refused(capsys, run(root, tmp_path / "out"), "out: cannot write here (Read-only file system)")
    assert loaded == []


def test_data_set_and_output_must_be_given(loaded, capsys):
    assert_refused(capsys, tool.main([]), "--dataset and --output must be given")


def test_print_config_shows_the_bundled_settings(loaded, capsys):
    assert tool.main(["--print-config", "memory.every=3"]) == 0
    text = capsys.readouterr().out
    assert f"name: {BUNDLED_CHECKPOINT.stem}" in text
    assert "every: 3" in text
