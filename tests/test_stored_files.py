"""Files that released versions have written: training continues, evaluations are scored, packed and continued."""

import json
import os
import re
import zipfile

import pytest

from aotlab import load_model
from aotlab.sdk import load_plugins
from aotlab_testing.files import read_files
from aotlab_testing.stored_files import ARCHIVES, MODEL, assert_masks, run, steps, stored

__all__ = ["steps", "stored"]
pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="the stored paths are absolute on other systems only"),
    pytest.mark.usefixtures("unload"),  # each test loads the plug-in of its own folder
]
BENCHMARK = "--dataset", "mose", "--split", "train", "--root", "benchmark"


def read_losses(log):
    lines = map(json.loads, log.read_text().splitlines())
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.stem)
def test_stored_files_name_no_folder_of_a_machine(archive):
    with zipfile.ZipFile(archive) as files:
        texts = [files.read(name) for name in files.namelist()]
    found = {path for text in texts for path in re.findall(rb"/(?:home|root|tmp|Users|work|workspace)/\w+", text)}
    assert found == set()


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
