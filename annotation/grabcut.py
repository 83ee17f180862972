"""A mask from a box or clicks by GrabCut, in a window around them, so that it takes the same time in any picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aotlab.annotation.painting import Point
from aotlab.utils.errors import InputError

WORKING_EDGE = 160
"""Longer edge in pixels of what GrabCut sees; larger windows are scaled down to it."""
ROUNDS = 3
MARGIN = 0.25
"""Of the box, added around it on all sides."""
REACH = 0.3
"""Half a side of the window around clicks without a box, as a share of the picture's shorter edge."""
LIKE = 14
"""Colour distance in 8-bit Lab within which pixels joined to a click probably are of the object."""


@dataclass(frozen=True)
class Hints:
    """What a person says of one object."""

    box: tuple[float, float, float, float] | None = None
    """x, y, width, height in pixels"""
    positive: Sequence[Point] = ()
    """points on the object"""
    negative: Sequence[Point] = ()
    """points that are not on it"""

    def __post_init__(self) -> None:
        if self.box is None and not self.positive:
            raise InputError("hints: give a box, or a point on the object")
        if self.box is not None and not (self.box[2] >= 2 and self.box[3] >= 2):
            raise InputError(f"box {self.box}: its width and height must be at least 2 pixels")


def segment(frame: np.ndarray, hints: Hints) -> np.ndarray:
    """The object that the hints mean.

    Args:
        frame: H×W×3 uint8 RGB.
        hints: a box around it, points on it and beside it.

    Returns:
        H×W bool.

    Raises:
        InputError: the hints lie outside the picture.
    """
    import cv2

    left, top, right, bottom = _window(hints, frame.shape[:2])
    part = frame[top:bottom, left:right]
    scale = min(1.0, WORKING_EDGE / max(part.shape[:2]))
    size = (max(8, round(part.shape[1] * scale)), max(8, round(part.shape[0] * scale)))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    factors = np.array([size[0] / part.shape[1], size[1] / part.shape[0]])
    guess = _first_guess(small, hints, np.array([left, top]), factors)
    if (guess & 1).any() and not (guess & 1).all():
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.setRNGSeed(0)
        cv2.grabCut(small, guess, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    found = _joined((guess & 1).astype(np.uint8), hints, np.array([left, top]), factors)
    mask = np.zeros(frame.shape[:2], bool)
    soft = cv2.resize(found.astype(np.float32), (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    mask[top:bottom, left:right] = soft > 0.5
    return mask


def _window(hints: Hints, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is looked at; at least a few pixels of background around a box."""
    height, width = size[:2]
    xs = [x for x, _ in (*hints.positive, *hints.negative)]
    ys = [y for _, y in (*hints.positive, *hints.negative)]
    if hints.box is not None:
        x, y, across, down = hints.box
        room = max(6.0, MARGIN * max(across, down))
        xs, ys = [*xs, x, x + across], [*ys, y, y + down]
    else:
        room = REACH * min(height, width)
    left, right = max(0, int(min(xs) - room)), min(width, int(max(xs) + room) + 1)
    top, bottom = max(0, int(min(ys) - room)), min(height, int(max(ys) + room) + 1)
    if right - left < 4 or bottom - top < 4:
        raise InputError("hints: lie outside the picture")
    return left, top, right, bottom


def _first_guess(small: np.ndarray, hints: Hints, corner: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """H×W uint8 of GrabCut's four classes."""
    import cv2

    height, width = small.shape[:2]
    guess = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
    if hints.box is not None:
        x, y = (np.array(hints.box[:2]) - corner) * factors
        across, down = np.array(hints.box[2:]) * factors
        guess[:] = cv2.GC_BGD
        rows = slice(max(0, round(y)), max(1, round(y + down)))
        columns = slice(max(0, round(x)), max(1, round(x + across)))
        guess[rows, columns] = cv2.GC_PR_FGD
    for points, value in ((hints.positive, cv2.GC_PR_FGD), (hints.negative, cv2.GC_PR_BGD)):
        if hints.box is None or value == cv2.GC_PR_BGD:
            guess[_like(small, _scaled(points, corner, factors, small.shape))] = value
    radius = max(1, round(min(height, width) / 60))
    for points, value in ((hints.positive, cv2.GC_FGD), (hints.negative, cv2.GC_BGD)):
        for point in _scaled(points, corner, factors, (height, width)):
            cv2.circle(guess, point, radius * (1 if value == cv2.GC_FGD else 2), int(value), -1)
    return guess


def _like(small: np.ndarray, points: Sequence[tuple[int, int]]) -> np.ndarray:
    """H×W bool: what is joined to the points and of their colours."""
    import cv2

    lab = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), (3, 3), 0)
    joined = np.zeros((small.shape[0] + 2, small.shape[1] + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (1 << 8)
    for point in points:
        cv2.floodFill(lab, joined, point, 0, (LIKE,) * 3, (LIKE,) * 3, flags)
    return joined[1:-1, 1:-1] == 1


def _joined(found: np.ndarray, hints: Hints, corner: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """The parts that hold a positive point; with a box alone, those that are not tiny. Holes of a few pixels close."""
    import cv2

    found = cv2.morphologyEx(found, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, parts, stats, _ = cv2.connectedComponentsWithStats(found, connectivity=8)
    if count <= 1:
        return found
    points = _scaled(hints.positive, corner, factors, found.shape)
    if points:
        keep = {int(parts[y, x]) for x, y in points} - {0}
    else:
        areas = stats[1:, cv2.CC_STAT_AREA]
        keep = {part for part, area in enumerate(areas, start=1) if area >= areas.max() / 10}
    return np.isin(parts, list(keep)).astype(np.uint8)


def _scaled(
    points: Sequence[Point], corner: np.ndarray, factors: np.ndarray, size: tuple[int, ...]
) -> list[tuple[int, int]]:
    """Points in the window's own pixels; raises `InputError` for one outside the picture."""
    found = []
    for point in points:
        x, y = (np.array(point) - corner) * factors
        if not (-1 <= x <= size[1] and -1 <= y <= size[0]):
            raise InputError(f"point {point[0]:g},{point[1]:g}: lies outside the picture")
        found.append((int(np.clip(x, 0, size[1] - 1)), int(np.clip(y, 0, size[0] - 1))))
    return found
