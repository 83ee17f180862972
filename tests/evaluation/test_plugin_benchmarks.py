"""Benchmarks of plug-in files: another layout, measure and submission, used by every command that takes a benchmark."""

import json

import pytest

from aotlab.evaluation import scoring
from aotlab.tools.check_data import main as check_data
from aotlab.tools.score import main as score
from aotlab.tools.submit import main as submit
from aotlab_testing import miniatures

PLUGIN = """
from dataclasses import dataclass, replace
from aotlab.sdk import Benchmark, read_video

@dataclass(frozen=True)
class Nested(Benchmark):
    layout = "<video>/images, <video>/masks"
    columns = metrics = ("area",)
    has_splits = False
    submission_suffix = ".txt"

    def read_videos(self, root, split):
        return [read_video(path.name, path / "images", path / "masks") for path in sorted(root.iterdir())]

    def measure(self, annotation, prediction, size):
        return (1 - abs(int(annotation.sum()) - int(prediction.sum())) / (size[0] * size[1]),)

    def make_row(self, *values):
        return {"area": 100 * float(values[0].mean())}

    def write_submission(self, results, output):
        return output.write_text("x" * len(results.videos))

benchmarks = {"nested": Nested}
"""


@pytest.fixture
def line(tmp_path, unload):
    """Options that choose a benchmark of a plug-in; its data and results exist."""
    miniatures.make_with_results("folder", tmp_path)
    for kind, name in (("JPEGImages", "images"), ("Annotations", "masks")):
        for path in (tmp_path / "root" / kind).iterdir():
            (tmp_path / "nested" / path.name).mkdir(parents=True, exist_ok=True)
            path.rename(tmp_path / "nested" / path.name / name)
    (tmp_path / "nested.py").write_text(PLUGIN)
    return ["--plugin", str(tmp_path / "nested.py"), "--dataset", "nested", "--root", str(tmp_path / "nested")]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_plugin_benchmark_is_scored(line, tmp_path, monkeypatch, workers):
    monkeypatch.setattr(scoring, "MIN_FRAMES_PER_WORKER", 1)
    command = [*line, str(tmp_path / "results"), "--workers", workers, "--json", str(tmp_path / "scores.json")]
    assert score(command) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert [*scores["sequences"]] == ["first", "second"]
    assert scores["area"] == 100  # moved, but of the same area


def test_plugin_benchmark_is_submitted(line, tmp_path):
    assert submit([*line, "--results", str(tmp_path / "results"), "--output", str(tmp_path / "out.txt")]) == 0
    assert (tmp_path / "out.txt").read_text() == "xx"


def test_plugin_benchmark_is_checked(line, tmp_path, capsys):
    assert check_data([*line[:4], line[-1]]) == 0
    assert "labeled frames" in capsys.readouterr().out


def test_plugin_named_like_a_benchmark_rejected(line, tmp_path, run_expecting_error):
    path = tmp_path / "copy.py"
    path.write_text(PLUGIN.replace('"nested"', '"davis2017"'))
    error = run_expecting_error(check_data, "--plugin", path, "--dataset", "davis2017", tmp_path)
    assert "benchmarks: davis2017 is already the name of one in aotlab" in error
