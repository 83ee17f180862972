"""Counts of wrong masks and of the frames to check that name them."""

from __future__ import annotations

import msgspec
import numpy as np

from aotlab_studio.document.scores import Score
from research.identity.review import count


def make_frames(confidence: dict[int, float], jaccard: dict[int, float]) -> list:
    """Forty frames of one object; confidence .99 and J .9 on the others."""
    frames = []
    for index in range(40):
        score = Score(confidence.get(index, 0.99), 900, 50.0, 50.0)
        scores = {1: msgspec.to_builtins(score)}
        frames.append((scores, {1: jaccard.get(index, 0.9)}))
    return msgspec.json.decode(msgspec.json.encode(frames))


def test_right_masks_without_doubt_have_no_check():
    assert np.array_equal(count(make_frames({}, {})), [0, 0, 0, 0])


def test_check_names_wrong_masks_near_it():
    frames = make_frames({20: 0.5}, {18: 0.3, 19: 0.3, 30: 0.3})
    assert np.array_equal(count(frames), [3, 2, 1, 0])


def test_check_of_right_masks_is_counted():
    assert np.array_equal(count(make_frames({20: 0.5}, {30: 0.3})), [1, 0, 1, 1])
