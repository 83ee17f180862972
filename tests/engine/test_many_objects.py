"""Real frames with more objects than four identity banks hold."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from aotlab.engine.tracker import Tracker
from aotlab.masks.id_maps import read_mask
from aotlab.media.images import read_image
from tests.engine.test_tracker_groups import Counter
from tests.shared import SHARED, needs_data

FRAMES = 3


def crowd(name: str) -> tuple[list[np.ndarray], np.ndarray]:
    """Frames, and the labels of the first with its ids renumbered from 1 on, at a quarter of their size."""
    frames: list[Path] = sorted((SHARED / "data" / "many" / "JPEGImages" / name).glob("*.jpg"))[:FRAMES]
    mask = read_mask(SHARED / "data" / "many" / "Annotations" / name / f"{frames[0].stem}.png")
    images = [cv2.resize(read_image(path), (428, 240), interpolation=cv2.INTER_AREA) for path in frames]
    return images, cv2.resize(mask, (428, 240), interpolation=cv2.INTER_NEAREST)


@needs_data
def test_forty_four_objects_are_five_groups_in_one_batch_on_every_frame(monkeypatch):
    frames, mask = crowd("1001_3iEIq5HBY1s")
    objects = len(set(np.unique(mask).tolist()) - {0})
    assert 40 < objects <= 50, "five groups of ten"
    tracker = Tracker.from_checkpoint(overrides=["input.max_long_edge=128"])
    calls = Counter(tracker.model, monkeypatch)
    for index, frame in enumerate(frames):
        prediction = tracker.step(frame, mask if index == 0 else None)
        assert calls.take() == [5]
        assert len(prediction.ids) == objects
