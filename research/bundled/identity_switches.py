"""Identity switches: pixels of one object that a tracker labels as another, where objects touch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from aotlab.media.masks import VOID

CONTACT_DISTANCE = 3
"""distance in pixels within which two objects touch"""


@dataclass(frozen=True)
class IdentitySwitches:
    """Counts over the frames on which objects touch."""

    frames: int
    """contact frames"""
    pixels: int
    """pixels of the touching objects on these frames"""
    switched: int
    """pixels labeled as another object"""

    @property
    def share(self) -> float:
        """Switched pixels of all, 0 to 1."""
        return self.switched / self.pixels if self.pixels else 0.0


def find_touching_ids(annotation: np.ndarray, reach: int = CONTACT_DISTANCE) -> list[int]:
    """Ids of an annotation (H×W, 255 is void) that lie within ``reach`` pixels of another object."""
    objects = np.where(annotation < VOID, annotation, 0).astype(np.uint8)
    kernel = np.ones((2 * reach + 1,) * 2, np.uint8)
    highest = cv2.dilate(objects, kernel)
    lowest = 255 - cv2.dilate(np.where(objects > 0, 255 - objects, 0).astype(np.uint8), kernel)
    contact = (objects > 0) & ((highest != objects) | (lowest != objects))
    return [int(number) for number in np.unique(objects[contact])]


def count_switches(
    annotations: Iterable[np.ndarray], predictions: Iterable[np.ndarray], reach: int = CONTACT_DISTANCE
) -> IdentitySwitches:
    """Count identity switches of a video.

    Args:
        annotations: H×W ids of each frame, 0 background, 255 void.
        predictions: H×W ids of the same frames.
        reach: distance in pixels within which two objects touch.
    """
    frames = pixels = switched = 0
    for annotation, prediction in zip(annotations, predictions, strict=True):
        touching = find_touching_ids(annotation, reach)
        if touching:
            own = np.isin(annotation, touching)
            frames += 1
            pixels += int(own.sum())
            switched += int((own & (prediction != annotation) & (prediction > 0)).sum())
    return IdentitySwitches(frames, pixels, switched)
