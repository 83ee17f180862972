"""Signs of a wrong mask in one frame: parts away from the object, and contact with an object of like colour."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

APART = 3
"""pixels between the two sides of an outline that are compared"""
LIKE = 24
"""largest difference of a channel (0 to 255) between like colours"""
EDGE = 480
"""shorter edge of what is looked at; larger frames are thinned out to it"""


def doubts(ids: np.ndarray, image: np.ndarray, object_ids: Iterable[int]) -> dict[int, tuple[float, float]]:
    """Fragment and contact of objects, as `Score` has them.

    Args:
        ids: H×W object ids.
        image: H×W×3 uint8.
        object_ids: the objects.
    """
    step = max(1, min(ids.shape) // EDGE)
    ids, image = ids[::step, ::step], image[::step, ::step]
    touching, outline = _sides(ids, image)
    return {
        each: (fragment(ids == each), touching.get(each, 0) / max(1, outline.get(each, 0)))
        for each in object_ids
    }


def fragment(mask: np.ndarray) -> float:
    """Share of a mask (H×W bool) in its second largest connected part, 0 to 0.5; parts 2 pixels apart are one."""
    import cv2

    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return 0.0
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8)
    joined = cv2.morphologyEx(part, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    areas = np.sort(stats[1:, cv2.CC_STAT_AREA])
    return float(areas[-2] / areas.sum()) if len(areas) > 1 else 0.0


def _sides(ids: np.ndarray, image: np.ndarray) -> tuple[dict[int, int], dict[int, int]]:
    """By object: pairs of pixels across its outline to an object of like colour, and to anything."""
    touching: dict[int, int] = {}
    outline: dict[int, int] = {}
    for axis in (0, 1):
        here = [slice(None, -APART) if axis == each else slice(None) for each in (0, 1)]
        there = [slice(APART, None) if axis == each else slice(None) for each in (0, 1)]
        rows, columns = np.nonzero(ids[tuple(here)] != ids[tuple(there)])
        far = (rows + APART, columns) if axis == 0 else (rows, columns + APART)
        one, other = ids[rows, columns], ids[far]
        apart = np.abs(image[rows, columns].astype(np.int16) - image[far]).max(-1, initial=0)
        like = (one > 0) & (other > 0) & (apart <= LIKE)
        for side in (one, other):
            for count, chosen in ((outline, side), (touching, side[like])):
                for each, number in zip(*np.unique(chosen, return_counts=True), strict=True):
                    count[int(each)] = count.get(int(each), 0) + int(number)
    return touching, outline
