"""The benchmark program on every data set in miniature, with a tracker that repeats what it was given."""

from __future__ import annotations

import json

import pytest

from aotlab.dataloaders.benchmarks.datasets import DATASETS
from aotlab.engine.tracking.tracker import Tracker
from aotlab.tools import eval as tool
from aotlab.tools.score import main as score
from tests import miniatures
from tests.engine.benchmark.painting import PaintingTracker

SPLITS = {"youtubevos2018": "train", "youtubevos2019": "train", "mose": "train", "mosev2": "train"}


@pytest.fixture(autouse=True)
def loaded(monkeypatch):
    monkeypatch.setattr(Tracker, "from_checkpoint", lambda *_, **__: PaintingTracker())


def make(name, folder, split):
    """Make a data set; the options that name it."""
    getattr(miniatures, f"make_{name}")(folder / "root")
    return ["--dataset", name, "--root", str(folder / "root"), "--split", split]


@pytest.mark.parametrize("name", [name for name, dataset in DATASETS.items() if not dataset.hota])
def test_results_are_scored_as_by_the_scoring_program(name, tmp_path):
    options = make(name, tmp_path, SPLITS.get(name, "val"))
    results, again = tmp_path / "results", tmp_path / "again.json"
    assert tool.main([*options, "--output", str(results)]) == 0
    assert score([*options, "--results", str(results), "--json", str(again)]) == 0
    ours, theirs = (json.loads(path.read_text()) for path in (results / "scores.json", again))
    assert ours.pop("fps") > 0
    assert theirs.pop("fps") is None
    assert ours == theirs
    assert "J" in ours


@pytest.mark.parametrize(("name", "split"), [("youtubevos2019", "val"), ("mose", "val"), ("lvosv2", "test")])
def test_results_of_a_server_split_name_submit(name, split, tmp_path, capsys):
    options = make(name, tmp_path, split)
    assert tool.main([*options, "--output", str(tmp_path / "results")]) == 0
    assert sorted(json.loads((tmp_path / "results" / "scores.json").read_text())) == ["failures", "fps"]
    text = capsys.readouterr().out
    assert f"no score: the annotations of {name} {split} are not public" in text
    assert f"--results {tmp_path / 'results'} --output {tmp_path / 'results'}.zip" in text


def test_results_that_hota_scores_come_with_the_command(tmp_path, capsys):
    options = make("burst", tmp_path, "val")
    assert tool.main([*options, "--output", str(tmp_path / "results")]) == 0
    assert (
        "no score: burst is scored by HOTA; score with: aotlab score --dataset burst"
        in capsys.readouterr().out
    )


def test_option_of_another_data_set_rejected(tmp_path, capsys):
    options = make("mose", tmp_path, "train")
    assert tool.main([*options, "--output", str(tmp_path / "results"), "--all-frames"]) == 2
    assert "--all-frames: not for mose; youtubevos2018" in capsys.readouterr().err
