"""Scores of shots, and clips with cuts."""

import numpy as np

from aotlab.dataloaders.training.clips import Clip
from aotlab_testing.repeating_tracker import RepeatingTracker
from research.bundled.benchmark_cuts import SHOT, ShotScores, compose_shots, format_rows, score_shots, track_shots


def make_clip(color, size):
    labels = np.zeros((2 * SHOT, *size), np.uint8)
    labels[:, :2, :2] = 1
    return Clip(np.full((2 * SHOT, *size, 3), color, np.uint8), labels, 1)


def test_second_shot_is_of_the_other_video():
    shots = compose_shots(make_clip(10, (6, 8)), make_clip(90, (12, 10)))
    assert shots.frames.shape == (3 * SHOT, 6, 8, 3)
    assert [frame[0, 0, 0] for frame in shots.frames] == [10] * SHOT + [90] * SHOT + [10] * SHOT
    assert shots.labels.any((1, 2)).tolist() == [True] * SHOT + [False] * SHOT + [True] * SHOT


def test_mask_in_a_shot_without_the_object_scores_nothing():
    shots = compose_shots(make_clip(10, (6, 8)), make_clip(90, (6, 8)))
    assert score_shots(shots.labels, shots.labels) == ShotScores(100, 100, 100)
    assert score_shots(shots.labels, 0 * shots.labels) == ShotScores(0, 100, 0)
    assert track_shots(RepeatingTracker(), shots) == ShotScores(100, 0, 100)
    assert format_rows({"end": [ShotScores(100, 50, 0)] * 2})[2:] == ["| `end` | 100.0 | 50.0 | 0.0 | 25.0 |"]
