"""Evaluation runs that stop and go on, that run out of memory, and that several ranks share."""

from __future__ import annotations

import threading

import pytest
import torch

from aotlab.engine.benchmark.evaluator import RECORDS, RunOptions, evaluate
from aotlab.media.masks import read_mask, write_mask
from aotlab.utils.distributed import World
from tests.engine.benchmark.painting import PaintingTracker
from tests.engine.benchmark.test_evaluator import make_video, names, square

MADE_BY = {"models": [{"checkpoint": "abc", "weight": 1.0}], "flip": False}


@pytest.fixture
def videos(tmp_path):
    return [make_video(tmp_path, name, frames=frames) for name, frames in (("a", 3), ("b", 5), ("c", 4))]


def run(videos, output, tracker=None, **options):
    tracker = tracker or PaintingTracker()
    settings = {"progress": False, "made_by": MADE_BY, **options}
    return tracker, evaluate(tracker, videos, output, RunOptions(**settings))


def contents(folder):
    return {name: (folder / name).read_bytes() for name in names(folder) if RECORDS not in name}


def test_finished_sequences_are_skipped(videos, tmp_path):
    run(videos[:2], tmp_path / "out")
    tracker, report = run(videos, tmp_path / "out")
    assert tracker.steps == 4
    assert (report.found, report.finished) == (["a", "b"], ["a", "b", "c"])
    assert report.timed_frames == 2 + 4 + 3  # what was measured then counts


@pytest.mark.parametrize(
    "options",
    [{"restart": True}, {"made_by": {**MADE_BY, "flip": True}, "force": True}, {"overlay": True}],
    ids=["--restart", "other settings", "images that are missing"],
)
def test_sequence_runs_again_on_request(videos, tmp_path, options):
    run(videos[:1], tmp_path / "out")
    assert run(videos[:1], tmp_path / "out", **options)[0].steps == 3
    assert run(videos[:1], tmp_path / "out", **{**options, "restart": False})[0].steps == 0


@pytest.mark.parametrize("damage", ["missing", "cut off", "record"])
def test_incomplete_results_are_computed_again(videos, tmp_path, damage):
    run(videos[:1], tmp_path / "out")
    before, result = contents(tmp_path / "out"), tmp_path / "out/a/00001.png"
    if damage == "missing":
        result.unlink()
    elif damage == "cut off":
        result.write_bytes(result.read_bytes()[:60])
    else:
        (tmp_path / "out" / RECORDS / "a.json").write_text("{")
    assert run(videos[:1], tmp_path / "out")[0].steps == 3
    assert contents(tmp_path / "out") == before


def test_changed_reference_mask_runs_its_sequence_again(videos, tmp_path):
    run(videos, tmp_path / "out")
    size = videos[1].masks[0].stat().st_size
    write_mask(videos[1].masks[0], square(3))
    assert videos[1].masks[0].stat().st_size == size  # which tells nothing
    assert run(videos, tmp_path / "out")[0].steps == 5
    assert read_mask(tmp_path / "out/b/00003.png").max() == 3


def test_runs_without_made_by_keep_no_records(videos, tmp_path):
    run(videos, tmp_path / "out")
    assert run(videos, tmp_path / "out", made_by=None)[0].steps == 12
    assert list((tmp_path / "out" / RECORDS).iterdir()) == []  # the results are of unknown origin now


def test_stopped_run_resumes(videos, tmp_path):
    stop, tracker = threading.Event(), PaintingTracker()
    tracker.before_step = lambda: stop.set() if tracker.steps == 4 else None
    _, report = run(videos, tmp_path / "out", tracker, stop=stop)
    assert (report.stopped, report.finished, tracker.steps) == (True, ["a"], 5)
    again, report = run(videos, tmp_path / "out")
    assert (report.stopped, report.finished, again.steps) == (False, ["a", "b", "c"], 9)
    run(videos, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_leftovers_of_a_killed_writer_are_removed(videos, tmp_path):
    left = tmp_path / "out/a/.00001.123.part.png"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    run(videos[:1], tmp_path / "out")
    assert not left.exists()


def test_too_large_video_fails_alone(videos, tmp_path):
    def fail():
        if tracker.steps == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.")

    tracker = PaintingTracker()
    tracker.before_step = fail
    _, report = run(videos[:1], tmp_path / "out", tracker)
    assert "out of memory" in report.failures["a"]
    assert "input.max_long_edge" in report.failures["a"]


class OneOfTwo(World):
    """A rank whose partner reports what it is told to."""

    def __init__(self, rank, other=None):
        super().__init__(torch.device("cpu"), rank, 2)
        object.__setattr__(self, "other", other)

    def gather(self, item, advice=""):
        return [item] if self.other is None else [self.other, item]


def test_ranks_share_sequences_longest_first(videos, tmp_path, capsys):
    lead, second = PaintingTracker(), PaintingTracker()
    first = evaluate(lead, videos, tmp_path / "out", RunOptions(), OneOfTwo(0))
    joined = evaluate(second, videos, tmp_path / "out", RunOptions(), OneOfTwo(1, first))
    assert (lead.steps, second.steps) == (5, 7)  # b alone; c and a
    assert (first.finished, joined.finished) == (["b"], ["a", "b", "c"])
    assert joined.timed_frames == 4 + 3 + 2
    text = capsys.readouterr().err
    assert "5/5" in text
    assert "share 1 of 2" in text
    assert "7/7" not in text  # one bar, the lead's


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_sequence_has_exactly_one_rank(ranks):
    costs = [3, 9, 1, 4, 4, 7, 2]
    shares = [World(torch.device("cpu"), rank, ranks).share(costs) for rank in range(ranks)]
    assert sorted(number for share in shares for number in share) == list(range(7))
    loads = [sum(costs[number] for number in share) for share in shares]
    assert max(loads) - min(loads) <= max(costs)
