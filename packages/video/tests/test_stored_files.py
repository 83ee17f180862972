"""Files that released versions have written: checkpoints track, results are rendered, reused and continued."""

import os

import numpy as np
import pytest

from aotlab.utils.run_folder import RECORD
from aotlab_testing.files import read_files
from aotlab_testing.stored_files import MODEL, assert_masks, assert_outputs_are_the_same, read_masks, run, steps, stored
from aotlab_video import Results

__all__ = ["steps", "stored"]
pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="the stored paths are absolute on other systems only"),
    pytest.mark.usefixtures("unload"),  # each test loads the plug-in of its own folder
]
MASK = "track", "video", "--mask", "first.png", *MODEL


def test_stored_checkpoint_tracks(stored):
    run(*MASK, "--strict", "--write", "masks", "--output", "new")
    assert_masks(stored / "new" / "masks", stored / "whole" / "masks")
    assert len(np.unique(read_masks(stored / "whole" / "masks"))) == 3


def test_strict_refuses_a_checkpoint_of_changed_code(stored, capsys):
    with (stored / "encoder.py").open("a") as file:
        file.write("# changed\n")
    run(*MASK, "--strict", "--output", "new", status=2)
    assert "has changed since it was trained; give the code of its training" in capsys.readouterr().err
    assert not (stored / "new").exists()


def test_outputs_of_stored_results_are_the_same(stored):
    assert_outputs_are_the_same(stored / "tracked", "coco,objects")
    assert len(list((stored / "tracked" / "objects").rglob("*.png"))) == 8


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
