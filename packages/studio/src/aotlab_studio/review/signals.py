"""Measurement of the signals of wrong masks; see `Signals`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from aotlab_studio.document.scores import Signals

CONTACT_DISTANCE = 3
"""Distance in pixels of the two pixels that are compared across an outline."""
SIMILAR_COLOR = 24
"""Largest difference of any channel, 0 to 255, between similar colors."""
FAR_SHARE = 0.15
"""Distance from the last mask that is far, as a share of the square root of its area."""
MAX_EDGE = 480
"""Shorter edge above which images are subsampled."""


class ReviewSignals:
    """Measures the signals of a video; its frames are given in order, forward or backward."""

    def __init__(self) -> None:
        self._last: tuple[int, np.ndarray, np.ndarray] | None = None

    def update(self, index: int, labels: np.ndarray, image: np.ndarray, ids: Iterable[int]) -> dict[int, Signals]:
        """Return the signals of objects on a frame, H×W labels on H×W×3 uint8; flips are relative to the last frame."""
        step = max(1, min(labels.shape) // MAX_EDGE)
        labels, image = labels[::step, ::step], image[::step, ::step]
        contact, outline = _count_contacts(labels, image)
        changed, last_labels = np.zeros(labels.shape, bool), np.zeros_like(labels)
        if self._last is not None and abs(self._last[0] - index) == 1 and self._last[1].shape == labels.shape:
            last_labels, last_image = self._last[1:]
            similar = measure_color_distance(image, last_image) <= SIMILAR_COLOR
            changed = (labels > 0) & (last_labels > 0) & (labels != last_labels) & similar
        self._last = index, labels.copy(), image.copy()
        return {
            object_id: Signals(
                round(measure_fragment(labels == object_id), 4),
                round(contact[object_id] / max(1, outline[object_id]), 4),
                round(measure_flip(labels == object_id, changed), 4),
                round(measure_far(labels == object_id, last_labels == object_id), 4),
            )
            for object_id in ids
        }


def measure_flip(mask: np.ndarray, changed: np.ndarray) -> float:
    """Return the share of a mask (H×W bool) in the largest connected part of ``changed`` thicker than 2 pixels."""
    import cv2

    part = mask & changed
    if not part.any():
        return 0.0
    opened = cv2.morphologyEx(part.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    return float(stats[1:, cv2.CC_STAT_AREA].max(initial=0) / mask.sum())


def measure_far(mask: np.ndarray, last_mask: np.ndarray) -> float:
    """Return the share of a mask, H×W bool, that is far from the last one; 0 if one is empty.

    Far is more than the move of the center and `FAR_SHARE` of the object's size.
    """
    import cv2

    areas = mask.sum(), last_mask.sum()
    if not all(areas):
        return 0.0
    left, top, width, height = cv2.boundingRect((mask | last_mask).astype(np.uint8))
    mask, last_mask = (each[top : top + height, left : left + width] for each in (mask, last_mask))
    center, last_center = (np.array(np.nonzero(each)).mean(1) for each in (mask, last_mask))
    distance = cv2.distanceTransform((~last_mask).astype(np.uint8), cv2.DIST_L2, 3)
    reach = np.hypot(*(center - last_center)) + FAR_SHARE * areas[1] ** 0.5
    return float((distance[mask] > reach).mean())


def measure_fragment(mask: np.ndarray) -> float:
    """Return the share of a mask, H×W bool, in its second largest part. Parts up to 2 pixels apart count as one."""
    import cv2

    pixels = mask.astype(np.uint8)
    left, top, width, height = cv2.boundingRect(pixels)
    if not width:
        return 0.0
    box = pixels[top : top + height, left : left + width]
    joined = cv2.morphologyEx(box, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    areas = np.sort(stats[1:, cv2.CC_STAT_AREA])
    return float(areas[-2] / areas.sum()) if len(areas) > 1 else 0.0


def measure_color_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the largest difference of any channel, for each pixel."""
    return np.asarray(np.abs(first.astype(np.int16) - second).max(-1, initial=0))


def _count_contacts(labels: np.ndarray, image: np.ndarray) -> tuple[Counter[int], Counter[int]]:
    """Count the pairs of pixels across the outline of each object: those to similar objects, and all."""
    contact: Counter[int] = Counter()
    outline: Counter[int] = Counter()
    for ids, pixels in ((labels, image), (labels.T, image.swapaxes(0, 1))):
        rows, columns = np.nonzero(ids[:-CONTACT_DISTANCE] != ids[CONTACT_DISTANCE:])
        others = rows + CONTACT_DISTANCE
        inner, outer = ids[rows, columns], ids[others, columns]
        distance = measure_color_distance(pixels[rows, columns], pixels[others, columns])
        similar = (inner > 0) & (outer > 0) & (distance <= SIMILAR_COLOR)
        for side in (inner, outer):
            outline.update(side.tolist())
            contact.update(side[similar].tolist())
    return contact, outline
