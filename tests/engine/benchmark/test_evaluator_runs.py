"""Evaluation runs that stop and go on, run out of memory, are shared by ranks, and have late objects."""

import json
import threading

import numpy as np
import pytest
import torch

from aotlab.dataloaders.benchmarks.datasets import open_dataset
from aotlab.engine.benchmark.evaluator import RECORDS, RunOptions, evaluate
from aotlab.engine.tracking.tracker import Tracker
from aotlab.media.masks import read_mask, write_mask
from aotlab.utils.distributed import World
from tests.engine.benchmark.painting import PaintingTracker
from tests.engine.benchmark.test_evaluator import make_video, names, square
from tests.engine.small_model import build
from tests.miniatures import make_folder, make_lvos, make_youtubevos

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


def out_of_memory(tracker, *, smaller_batches_help):
    def fail():
        if tracker.steps == 2 and not (smaller_batches_help and tracker.one_group_at_a_time):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.")

    tracker.before_step = fail


def test_out_of_memory_retries_with_one_group(videos, tmp_path):
    tracker = PaintingTracker()
    tracker.groups = 3
    out_of_memory(tracker, smaller_batches_help=True)
    _, report = run(videos[:1], tmp_path / "out", tracker)
    assert (report.finished, report.failures) == (["a"], {})
    assert not tracker.one_group_at_a_time  # the next video may fit


@pytest.mark.parametrize("groups", [1, 3])
def test_too_large_video_fails_alone(videos, tmp_path, groups):
    tracker = PaintingTracker()
    tracker.groups = groups
    out_of_memory(tracker, smaller_batches_help=False)
    tracker.steps = 2
    _, report = run(videos[:1], tmp_path / "out", tracker)
    assert "out of memory" in report.failures["a"]
    assert "input.max_long_edge" in report.failures["a"]


def test_out_of_memory_runs_groups_of_a_tracker_singly(tmp_path, monkeypatch):
    model, config = build("aott", "model.max_objects=1")
    mask = square()
    mask[:4] = 2
    video = make_video(tmp_path, "a", reference=mask)
    tracker, batches = Tracker(model, config), []
    memorize = tracker.model.memorize

    def spy(propagated, identities):
        batches.append(len(identities[0]))
        if batches[-1] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return memorize(propagated, identities)

    monkeypatch.setattr(tracker.model, "memorize", spy)
    _, report = run([video], tmp_path / "out", tracker)
    assert report.failures == {}
    assert batches == [2] + [1] * 8  # two groups in each of four frames


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


def test_warm_up_frames_are_not_timed(videos, tmp_path):
    _, report = run(videos, tmp_path / "out", warm_up=6)
    # three of a; of b another three, and then all but the first; of c all but the first
    assert report.timed_frames == 0 + 2 + 3
    assert report.total_fps <= report.fps
    record = json.loads((tmp_path / "out" / RECORDS / "b.json").read_text())
    assert record["timed_frames"] == 2


def run_first(name, root, split="val", **options):
    """Evaluate the first video of a data set."""
    tracker = PaintingTracker()
    videos = open_dataset(name, root, split, **options)[:1]
    return tracker, evaluate(tracker, videos, root / "results", RunOptions(progress=False))


def test_objects_are_given_on_the_frame_that_the_metadata_says(tmp_path):
    make_youtubevos(tmp_path)
    tracker, report = run_first("youtubevos2019", tmp_path)
    assert report.failures == {}
    assert tracker.given == [[0, 2, 5], None, [0, 3], None, None, None]


def test_new_ids_without_metadata_are_new_objects(tmp_path):
    make_folder(tmp_path)
    tracker = PaintingTracker()
    videos = open_dataset("folder", tmp_path, new_objects=True)[1:]
    evaluate(tracker, videos, tmp_path / "results", RunOptions(progress=False))
    assert tracker.given == [[0, 1], None, [0, 2], None, None, None]


def test_frames_before_the_first_object_are_background(tmp_path):
    make_lvos(tmp_path)
    videos = open_dataset("lvosv2", tmp_path)[1:]
    evaluate(PaintingTracker(), videos, tmp_path / "results", RunOptions(progress=False))
    results = [read_mask(tmp_path / "results" / "d83wYdy0" / f"{stem}.png") for stem in videos[0].results]
    assert [bool(labels.any()) for labels in results] == [False, False] + [True] * 5
    np.testing.assert_array_equal(results[2], read_mask(videos[0].masks[2]))


def test_of_all_frames_only_the_wanted_results_are_written(tmp_path):
    name = "youtubevos2019"
    make_youtubevos(tmp_path)
    tracker, report = run_first(name, tmp_path, all_frames=True)
    video = open_dataset(name, tmp_path, all_frames=True)[0]
    assert len(tracker.given) == len(video.frames) > len(video.results)
    assert sorted(path.stem for path in (report.output / video.name).iterdir()) == list(video.results)
