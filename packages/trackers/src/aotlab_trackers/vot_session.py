"""Tracker for the VOT toolkit: TraX requests with images and regions in, masks out.

Objects have no names: the toolkit passes them as a list and expects results in the same order, with objects of later
frames after the others. Source: the TraX protocol (Čehovin 2017) and the VOT toolkit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aotlab import VideoTracker
from aotlab.media.images import read_image
from aotlab.media.masks import merge_object_masks

COLOR = "color"
"""TraX's name of the image channel."""
MasksAndConfidences = tuple[list[np.ndarray], list[float]]
"""H×W bool masks and confidences of all objects, in the order they were added."""


class VotSession:
    """The objects of one sequence."""

    def __init__(self, tracker: VideoTracker) -> None:
        """``tracker`` is reset."""
        self._tracker, self._count = tracker, 0
        tracker.reset()

    def step(self, frame: np.ndarray, masks: Sequence[np.ndarray] = ()) -> MasksAndConfidences:
        """Track to the next frame, H×W×3 uint8 RGB, with a bool mask of each new object, which may be empty."""
        new_masks = {number: np.asarray(mask, bool) for number, mask in enumerate(masks, self._count + 1)}
        self._count += len(new_masks)
        visible = any(mask.any() for mask in new_masks.values())
        prediction = self._tracker.step(frame, merge_object_masks(new_masks) if visible else None)
        labels, confidence, ids = prediction.labels, prediction.confidence, range(1, self._count + 1)
        # new masks may overlap, which labels cannot represent
        object_masks = [new_masks.get(number, labels == number) for number in ids]
        return object_masks, [confidence.get(number, 0.0) for number in ids]


def serve(server: Any, tracker: VideoTracker, to_region: Callable[[np.ndarray], Any]) -> None:
    """Answer requests until the toolkit quits.

    Args:
        server: a `trax.Server` for masks and image paths.
        tracker: tracker to reset at every initialization.
        to_region: conversion of an H×W uint8 mask to TraX's type.
    """
    session = VotSession(tracker)
    while (request := server.wait()).type in ("initialize", "frame"):
        frame = read_image(Path(request.image[COLOR].path()))
        size = (frame.shape[0], frame.shape[1])
        masks = [fit_mask(region.array(normalize=True), size) for region, _ in request.objects or ()]
        if request.type == "initialize":
            session = VotSession(tracker)
        object_masks, confidence = session.step(frame, masks)
        server.status(
            [
                (to_region(np.ascontiguousarray(mask, dtype=np.uint8)), {"confidence": f"{value:.4f}"})
                for mask, value in zip(object_masks, confidence, strict=True)
            ]
        )


def fit_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Crop or pad a mask to (height, width) from the upper left corner: H×W bool."""
    whole = np.zeros(size, dtype=bool)
    height, width = (min(actual, target) for actual, target in zip(mask.shape, size, strict=True))
    whole[:height, :width] = mask[:height, :width] > 0
    return whole
