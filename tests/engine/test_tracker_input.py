"""Frames and masks that the tracker refuses, in a sentence and unharmed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aotlab.engine.tracker import Tracker
from aotlab.utils.errors import InputError
from tests.engine.small_model import HEIGHT, WIDTH, clip, stripes


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.ones((HEIGHT, WIDTH - 1), np.uint8), "one of its size"),
        (np.ones((HEIGHT, WIDTH, 1), np.uint8), "one of its size"),
        (np.ones((HEIGHT, WIDTH), np.float32), "object ids of 0 and above, got float32"),
        (np.full((HEIGHT, WIDTH), -1), "object ids of 0 and above, got int64 from -1"),
    ],
)
@pytest.mark.parametrize("tracking", [False, True])
def test_a_mask_that_is_none_is_refused_and_leaves_the_tracker_as_it_was(models, mask, words, tracking):
    frames, tracker, twin = clip(3), Tracker(*models["aott"]), Tracker(*models["aott"])
    if tracking:
        for each in (tracker, twin):
            each.step(frames[0], stripes([1, 2]))
    with pytest.raises(InputError, match=words):
        tracker.step(frames[1], mask)
    assert tracker.ids == twin.ids
    assert torch.equal(tracker.step(frames[2]).logits, twin.step(frames[2]).logits)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((HEIGHT, WIDTH, 3), np.float32),
        np.zeros((HEIGHT, WIDTH, 4), np.uint8),
        np.zeros((HEIGHT, WIDTH), np.uint8),
    ],
)
def test_a_frame_that_is_no_8_bit_rgb_is_refused(tracker, frame, first):
    if not first:
        tracker.step(clip(1)[0], stripes([1]))
    with pytest.raises(InputError, match="H×W×3 uint8 RGB"):
        tracker.step(frame, stripes([1]) if first else None)


def test_a_frame_of_another_size_is_refused_with_both_sizes(tracker):
    tracker.step(clip(1)[0], stripes([1]))
    with pytest.raises(InputError, match=r"40×20, but the video began with 49×33; call reset"):
        tracker.step(np.zeros((20, 40, 3), np.uint8))
