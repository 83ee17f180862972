"""Scoring against the public evaluator's algorithm written plainly: equal numbers, in a fraction of the time.

``pytest tests/evaluation/test_speed.py -s`` prints the figures.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from aotlab.dataloaders.benchmarks.datasets import open_dataset
from aotlab.engine.evaluation.scoring import score_videos
from aotlab.evaluation.davis import annotation_labels
from aotlab.evaluation.sequence_scores import ScoringPlan, score_pair
from aotlab.evaluation.tables import scores_table
from aotlab.masks.id_maps import read_mask, write_mask
from tests.evaluation import plain_evaluator
from tests.shared import SHARED, needs_data

pytestmark = [needs_data, pytest.mark.slow]
DAVIS = SHARED / "data" / "DAVIS"
FRAMES = 24
"""of each sequence"""
COPIES = 8
"""of each sequence, to make starting processes small beside scoring"""

Sequences = list[tuple[np.ndarray, np.ndarray, int]]
"""T×H×W true and predicted ids, number of objects"""


def perturbed(truth: np.ndarray) -> np.ndarray:
    """Even frames moved by 3 px, odd ones with every object grown by 2 px."""
    prediction = np.zeros_like(truth)
    prediction[:, 3:, 3:] = truth[:, :-3, :-3]
    for labels, found in zip(truth[1::2], prediction[1::2], strict=True):
        found[:] = 0
        for object_id in range(1, int(truth.max()) + 1):
            found[binary_dilation(labels == object_id, np.ones((3, 3)), iterations=2)] = object_id
    return prediction


@pytest.fixture(scope="module")
def sequences() -> Sequences:
    found = []
    for video in open_dataset("davis2017", DAVIS):
        truth = np.stack([annotation_labels(read_mask(path)) for path in video.annotations[:FRAMES]])
        assert truth.shape[1:] == (480, 854)
        found.append((truth, perturbed(truth), int(truth[0].max())))
    return found


def fast(truth: np.ndarray, prediction: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """What `plain_evaluator.score_sequence` gives, by our functions."""
    plan = ScoringPlan("", (), tuple(range(1, count + 1)))
    frames = [score_pair(plan, "", true, found)[0] for true, found in zip(truth, prediction, strict=True)]
    region, contour = np.stack(frames, axis=2)
    return region, contour


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """The best of a few runs: other programs only ever add time."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def test_scores_equal_the_plain_evaluator_and_come_many_times_faster(sequences: Sequences) -> None:
    slow = quick = 0.0
    for args in sequences:
        for ours, plain in zip(fast(*args), plain_evaluator.score_sequence(*args), strict=True):
            np.testing.assert_array_equal(ours, plain)
        # one after the other, so that other programs slow both down alike
        slow += seconds(lambda args=args: plain_evaluator.score_sequence(*args), 2)
        quick += seconds(lambda args=args: fast(*args), 4)
    paths = [path for video in open_dataset("davis2017", DAVIS) for path in video.annotations[:FRAMES]]
    reading = 2 * seconds(lambda: [read_mask(path) for path in paths])
    frames = FRAMES * len(sequences)
    plain, ours, files = (1e3 * total / frames for total in (slow, quick, reading))
    print(f"\nplain {plain:.2f} ms, ours {ours:.2f} ms a frame: {plain / ours:.1f} times faster")
    print(f"with {files:.2f} ms to read two PNGs: {(plain + files) / (ours + files):.1f} times")
    # measured 18 to 28, by what else runs; the rest is left to busy machines
    assert slow / quick > 14


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")
def test_two_processes_give_the_same_scores(sequences: Sequences, tmp_path: Path) -> None:
    videos = []
    for video in open_dataset("davis2017", DAVIS):
        truth = np.stack([annotation_labels(read_mask(path)) for path in video.annotations])
        for path, labels in zip(video.annotations, perturbed(truth), strict=True):
            write_mask(tmp_path / video.name / path.name, labels)
        for copy in range(COPIES):
            (tmp_path / f"{video.name}{copy}").symlink_to(tmp_path / video.name)
            videos.append(replace(video, name=f"{video.name}{copy}"))
    start = time.perf_counter()
    one = score_videos(videos, tmp_path)
    middle = time.perf_counter()
    two = score_videos(videos, tmp_path, workers=2)
    end = time.perf_counter()
    assert scores_table(one.scores) == scores_table(two.scores)
    frames = sum(len(video.annotations) - 2 for video in videos)
    print(f"\n{frames} frames from files: one process {middle - start:.2f} s, two {end - middle:.2f} s")
