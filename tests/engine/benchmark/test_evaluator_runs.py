"""Evaluation runs that stop and go on, run out of memory, are shared by ranks, and have late objects."""

import numpy as np

from aotlab.dataloaders.benchmarks.datasets import open_dataset
from aotlab.engine.benchmark.evaluator import EvaluationOptions, evaluate
from aotlab.media.masks import read_mask
from tests.engine.benchmark.painting import PaintingTracker
from tests.miniatures import make_folder, make_lvos, make_youtubevos

MADE_BY = {"models": [{"checkpoint": "abc", "weight": 1.0}], "flip": False}


def run_first(name, root, split="val", **options):
    """Evaluate the first video of a data set."""
    tracker = PaintingTracker()
    videos = open_dataset(name, root, split, **options)[:1]
    return tracker, evaluate(tracker, videos, root / "results", EvaluationOptions(progress=False))


def test_objects_are_given_on_metadata_frame(tmp_path):
    make_youtubevos(tmp_path)
    tracker, report = run_first("youtubevos2019", tmp_path)
    assert report.failures == {}
    assert tracker.given == [[0, 2, 5], None, [0, 3], None, None, None]


def test_new_ids_without_metadata_are_new_objects(tmp_path):
    make_folder(tmp_path)
    tracker = PaintingTracker()
    videos = open_dataset("folder", tmp_path, new_objects=True)[1:]
    evaluate(tracker, videos, tmp_path / "results", EvaluationOptions(progress=False))
    assert tracker.given == [[0, 1], None, [0, 2], None, None, None]


def test_frames_before_the_first_object_are_background(tmp_path):
    make_lvos(tmp_path)
    videos = open_dataset("lvosv2", tmp_path)[1:]
    evaluate(PaintingTracker(), videos, tmp_path / "results", EvaluationOptions(progress=False))
    results = [read_mask(tmp_path / "results" / "d83wYdy0" / f"{stem}.png") for stem in videos[0].results]
    assert [bool(labels.any()) for labels in results] == [False, False] + [True] * 5
    np.testing.assert_array_equal(results[2], read_mask(videos[0].masks[2]))


def test_only_requested_frames_are_written(tmp_path):
    name = "youtubevos2019"
    make_youtubevos(tmp_path)
    tracker, report = run_first(name, tmp_path, all_frames=True)
    video = open_dataset(name, tmp_path, all_frames=True)[0]
    assert len(tracker.given) == len(video.frames) > len(video.results)
    assert sorted(path.stem for path in (report.output / video.name).iterdir()) == list(video.results)
