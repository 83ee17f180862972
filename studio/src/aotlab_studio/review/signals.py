"""Signs of a wrong mask: parts away from the object, contact with one of like colour, parts that change identity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

APART = 3
"""pixels between the two sides of an outline that are compared"""
LIKE = 24
"""largest difference of a channel (0 to 255) between like colours"""
EDGE = 480
"""shorter edge of what is looked at; larger frames are thinned out to it"""


class Doubts:
    """Doubts of the frames of one video, which are told in order, forwards or backwards."""

    def __init__(self) -> None:
        self._last: tuple[int, np.ndarray, np.ndarray] | None = None

    def of(
        self, index: int, ids: np.ndarray, image: np.ndarray, object_ids: Iterable[int]
    ) -> dict[int, tuple[float, float, float]]:
        """Fragment, contact and flip of each object, as `Score` has them; no flips without a neighbouring frame.

        Args:
            index: of the frame.
            ids: H×W object ids.
            image: H×W×3 uint8.
            object_ids: the objects.
        """
        step = max(1, min(ids.shape) // EDGE)
        ids, image = ids[::step, ::step], image[::step, ::step]
        touching, outline = _sides(ids, image)
        changed = np.zeros(ids.shape, bool)
        if self._last is not None and abs(self._last[0] - index) == 1 and self._last[1].shape == ids.shape:
            before, seen = self._last[1:]
            changed = (ids > 0) & (before > 0) & (ids != before) & (_apart(image, seen) <= LIKE)
        self._last = index, ids.copy(), image.copy()
        return {
            each: (
                fragment(ids == each),
                touching[each] / max(1, outline[each]),
                flip(ids == each, changed),
            )
            for each in object_ids
        }


def flip(mask: np.ndarray, changed: np.ndarray) -> float:
    """Share of a mask (H×W bool) in the largest connected part of ``changed``, thicker than 2 pixels; 0 to 1."""
    import cv2

    part = mask & changed
    if not part.any():
        return 0.0
    opened = cv2.morphologyEx(part.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    return float(stats[1:, cv2.CC_STAT_AREA].max(initial=0) / mask.sum())


def fragment(mask: np.ndarray) -> float:
    """Share of a mask (H×W bool) in its second largest connected part, 0 to 0.5; parts 2 pixels apart are one."""
    import cv2

    pixels = mask.astype(np.uint8)
    left, top, width, height = cv2.boundingRect(pixels)
    if not width:
        return 0.0
    joined = cv2.morphologyEx(
        pixels[top : top + height, left : left + width], cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)
    )
    _, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    areas = np.sort(stats[1:, cv2.CC_STAT_AREA])
    return float(areas[-2] / areas.sum()) if len(areas) > 1 else 0.0


def _sides(ids: np.ndarray, image: np.ndarray) -> tuple[Counter[int], Counter[int]]:
    """By object: pairs of pixels across its outline to an object of like colour, and to anything."""
    touching: Counter[int] = Counter()
    outline: Counter[int] = Counter()
    for turned, pixels in ((ids, image), (ids.T, image.swapaxes(0, 1))):
        rows, columns = np.nonzero(turned[:-APART] != turned[APART:])
        one, other = turned[rows, columns], turned[rows + APART, columns]
        apart = _apart(pixels[rows, columns], pixels[rows + APART, columns])
        like = (one > 0) & (other > 0) & (apart <= LIKE)
        for side in (one, other):
            outline.update(side.tolist())
            touching.update(side[like].tolist())
    return touching, outline


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Largest difference of a channel."""
    return np.asarray(np.abs(one.astype(np.int16) - other).max(-1, initial=0))
