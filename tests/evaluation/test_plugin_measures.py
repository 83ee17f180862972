"""Measures of plug-ins: further columns of every benchmark."""

import json

import pytest

from aotlab.evaluation import scoring
from aotlab.tools.score import main as score
from aotlab.utils.plugins import MEASURE_PLUGINS
from aotlab_testing import miniatures

PLUGIN = """
def dice(annotation, prediction, size):
    total = annotation.sum() + prediction.sum()
    return 2 * (annotation & prediction).sum() / total if total else 1.0

def late(annotation, prediction, size):
    return float("nan") if annotation.any() else 1.0

measures = {"dice": dice, "late": late}
"""


@pytest.fixture
def plugin(tmp_path, unload):
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    return ["--plugin", str(path), "--measure", "dice"]


def score_miniature(name, folder, *options):
    """Score perturbed results of a benchmark; return the content of the JSON file."""
    split = miniatures.scored_split(name)
    miniatures.make_with_results(name, folder, split)
    line = ["--dataset", name, "--root", folder / "root", "--split", split, folder / "results", *options]
    assert score([*map(str, line), "--json", str(folder / "scores.json")]) == 0
    return json.loads((folder / "scores.json").read_text())


@pytest.mark.parametrize("name", ["davis2017", "sav", "mosev2"])
def test_measure_is_one_more_column(name, tmp_path, plugin):
    scores = score_miniature(name, tmp_path, *plugin, "--workers", "1")
    rows = [row for sequence in scores["sequences"].values() for row in sequence["objects"].values()]
    assert all(row["J"] <= row["dice"] <= 100 for row in rows)
    assert scores["dice"] == pytest.approx(sum(row["dice"] for row in rows) / len(rows))
    assert scores["measures"]["dice"]["file"] == "mine.py"


def test_measure_is_added_to_the_scores_of_one_video(tmp_path, plugin):
    miniatures.make_with_results("folder", tmp_path)
    name, content = "first", tmp_path / "scores.json"
    line = [tmp_path / "results" / name, "--annotations", tmp_path / "root" / "Annotations" / name, "--json", content]
    assert score([*map(str, line), *plugin, "--workers", "1"]) == 0
    assert 0 < json.loads(content.read_text())["dice"] <= 100


def test_measure_is_computed_by_workers(tmp_path, plugin, monkeypatch):
    monkeypatch.setattr(scoring, "MIN_FRAMES_PER_WORKER", 1)
    assert score_miniature("davis2017", tmp_path, *plugin, "--workers", "2")["dice"] < 100


def test_undefined_measure_has_no_value(tmp_path, plugin):
    scores = score_miniature("davis2017", tmp_path, *plugin[:2], "--measure", "late", "--workers", "1")
    assert scores["late"] is None


@pytest.mark.parametrize(
    ("measure", "status", "message"),
    [
        (lambda annotation, prediction, size: 3.5, 1, "<lambda>: returned 3.5; expected a number from 0 to 1, or NaN"),
        (lambda annotation, prediction: 1.0, 2, "<lambda>: too many positional arguments; expected (annotation, pre"),
    ],
    ids=["range", "arguments"],
)
def test_faulty_measure_rejected(measure, status, message, tmp_path, offer, capsys, caplog):
    offer(MEASURE_PLUGINS, mine=measure)
    miniatures.make_with_results("folder", tmp_path)
    line = ["--dataset", "folder", "--root", tmp_path / "root", tmp_path / "results", "--measure", "mine"]
    assert score([*map(str, line), "--workers", "1"]) == status
    assert message in capsys.readouterr().err + caplog.text


@pytest.mark.parametrize(
    ("name", "message"),
    [("dce", "measure dce: unknown; no plug-in provides it"), ("J", "measure J: davis2017 has a column of this name")],
)
def test_unusable_name_of_a_measure_rejected(name, message, tmp_path, offer, run_expecting_error):
    offer(MEASURE_PLUGINS, J=lambda annotation, prediction, size: 1.0)
    error = run_expecting_error(score, "--dataset", "davis2017", "--root", tmp_path, tmp_path, "--measure", name)
    assert message in error
