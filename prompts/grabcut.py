"""Masks of boxes and clicks by GrabCut, in a window around them, so that the time does not depend on the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aotlab.masks.painting import Point
from aotlab.utils.errors import InputError

WORKING_EDGE = 160
"""longer edge in pixels of GrabCut's input; larger windows are scaled down"""
ROUNDS = 3
MARGIN = 0.25
"""margin of the window around a box, as a share of the box"""
REACH = 0.3
"""half a side of the window around clicks, as a share of the image's shorter edge"""
COLOURS = 6
"""number of colours that model an area"""
NEAR = 7
"""Side of the square by which what looks as a point that corrects a mask is grown; all else of the mask is certain."""


@dataclass(frozen=True)
class Hints:
    """Prompts of one object."""

    box: tuple[float, float, float, float] | None = None
    """x, y, width, height in pixels"""
    positive: Sequence[Point] = ()
    """points on the object"""
    negative: Sequence[Point] = ()
    """points beside the object"""
    known: np.ndarray | None = field(default=None, compare=False)
    """H×W bool: the mask that the points correct; None if unset"""

    def __post_init__(self) -> None:
        if self.box is None and not self.positive and not (self.negative and self.known is not None):
            raise InputError("hints: give a box, or a point on the object")
        if self.box is not None and not (self.box[2] >= 2 and self.box[3] >= 2):
            raise InputError(f"box {self.box}: its width and height must be at least 2 pixels")


def segment(frame: np.ndarray, hints: Hints) -> np.ndarray:
    """Return the mask of one object.

    Args:
        frame: H×W×3 uint8 RGB.
        hints: a box around it, points on it and beside it, or what is known of it and what is wrong with that.

    Returns:
        H×W bool.

    Raises:
        InputError: the hints lie outside the image.
    """
    import cv2

    left, top, right, bottom = _window(hints, frame.shape[:2])
    part = frame[top:bottom, left:right]
    scale = min(1.0, WORKING_EDGE / max(part.shape[:2]))
    size = (max(8, round(part.shape[1] * scale)), max(8, round(part.shape[0] * scale)))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    factors = np.array([size[0] / part.shape[1], size[1] / part.shape[0]])
    known = None if hints.known is None or hints.box is not None else hints.known[top:bottom, left:right]
    if known is None:
        found = _cut(small, _first_guess(small, hints, np.array([left, top]), factors))
        found = _joined(found, hints, np.array([left, top]), factors)
    else:
        found = _cut(small, _corrected_guess(small, known, hints, np.array([left, top]), factors))
    soft = cv2.resize(found.astype(np.float32), (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    if known is None or hints.known is None:
        mask = np.zeros(frame.shape[:2], bool)
        mask[top:bottom, left:right] = soft > 0.5
    else:
        mask = hints.known.copy()
        mask[top:bottom, left:right] = _corrected(known, soft > 0.5, hints, np.array([left, top]))
    return mask


def _cut(small: np.ndarray, guess: Any) -> np.ndarray:
    """Run GrabCut on a first guess; return H×W uint8, 1 on the object."""
    import cv2

    if (guess & 1).any() and not (guess & 1).all():
        models: Any = (np.zeros((1, 65)), np.zeros((1, 65)))
        whole: Any = None
        cv2.setRNGSeed(0)
        cv2.grabCut(small, guess, whole, models[0], models[1], ROUNDS, cv2.GC_INIT_WITH_MASK)
    return np.asarray(guess & 1, np.uint8)


def _window(hints: Hints, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the window, with at least a few pixels of background around a box."""
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
    else:
        guess[_border(guess.shape)] = cv2.GC_BGD
    lab = _lab(small)
    for points, value in ((hints.positive, cv2.GC_PR_FGD), (hints.negative, cv2.GC_PR_BGD)):
        if points and (hints.box is None or value == cv2.GC_PR_BGD):
            others = [point for point in (*hints.positive, *hints.negative) if point not in points]
            apart = [_colour_at(lab, point)[None] for point in _scaled(others, corner, factors, guess.shape)]
            behind = np.concatenate([_colours(lab, _border(guess.shape)), *apart])
            found = _like(lab, _scaled(points, corner, factors, guess.shape), behind)
            guess[found & (guess != cv2.GC_BGD)] = value
    _mark(guess, hints, corner, factors)
    return guess


def _mark(guess: np.ndarray, hints: Hints, corner: np.ndarray, factors: np.ndarray) -> None:
    """Make the points' surroundings certain."""
    import cv2

    radius = max(1, round(min(guess.shape) / 60))
    for points, value in ((hints.positive, cv2.GC_FGD), (hints.negative, cv2.GC_BGD)):
        for point in _scaled(points, corner, factors, guess.shape):
            cv2.circle(guess, point, radius * (1 if value == cv2.GC_FGD else 2), int(value), -1)


def _corrected_guess(
    small: np.ndarray, known: np.ndarray, hints: Hints, corner: np.ndarray, factors: np.ndarray
) -> np.ndarray:
    """H×W uint8 of GrabCut's four classes: what is known is certain, but near what looks as a point against it."""
    import cv2

    before = cv2.resize(known.astype(np.uint8), small.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    guess = np.where(before, cv2.GC_FGD, cv2.GC_BGD).astype(np.uint8)
    lab = _lab(small)
    for points, side, value in (
        (hints.positive, ~before, cv2.GC_PR_FGD),
        (hints.negative, before, cv2.GC_PR_BGD),
    ):
        for x, y in _scaled(points, corner, factors, small.shape):
            if side[y, x]:
                colours = _colours(lab, side)
                order = np.argsort(np.linalg.norm(colours - _colour_at(lab, (x, y)), axis=1))
                like = _like(lab, [(x, y)], colours[order[1:]] if len(order) > 1 else colours) & side
                near = cv2.dilate(like.astype(np.uint8), np.ones((NEAR, NEAR), np.uint8)) > 0
                guess[near & (guess < cv2.GC_PR_BGD)] += 2  # from certain to probable
                guess[like] = value
    _mark(guess, hints, corner, factors)
    return guess


def _corrected(known: np.ndarray, found: np.ndarray, hints: Hints, corner: np.ndarray) -> np.ndarray:
    """Return the known mask with the parts under positive points added and those under negative points removed."""
    import cv2

    after = known.copy()
    ones = np.ones(2)
    for points, change, value in (
        (hints.positive, found & ~known, True),
        (hints.negative, known & ~found, False),
    ):
        _, parts = cv2.connectedComponents(change.astype(np.uint8), connectivity=8)
        under = {int(parts[y, x]) for x, y in _scaled(points, corner, ones, known.shape)} - {0}
        after[np.isin(parts, list(under))] = value
    return after


def _border(size: tuple[int, ...]) -> np.ndarray:
    """H×W bool: the edge of a window, two pixels wide."""
    border = np.ones(size, bool)
    border[2:-2, 2:-2] = False
    return border


def _lab(small: np.ndarray) -> np.ndarray:
    """H×W×3 float32: smoothed colours in which distances are as people see them."""
    import cv2

    return np.asarray(cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), (5, 5), 0).astype(np.float32))


def _colours(lab: np.ndarray, area: np.ndarray) -> np.ndarray:
    """N×3: a few colours that an area (H×W bool) has."""
    import cv2

    pixels = lab[area]
    start: Any = None
    stop = (cv2.TERM_CRITERIA_MAX_ITER, 5, 0)
    cv2.setRNGSeed(0)
    count = min(COLOURS, len(pixels))
    return np.asarray(cv2.kmeans(pixels, count, start, stop, 1, cv2.KMEANS_PP_CENTERS)[2])


def _like(lab: np.ndarray, points: Sequence[tuple[int, int]], others: np.ndarray) -> np.ndarray:
    """H×W bool: what is joined to the points, and nearer to their colours than to others (N×3)."""
    import cv2

    away = np.min([np.linalg.norm(lab - colour, axis=2) for colour in others], axis=0)
    found = np.zeros(lab.shape[:2], bool)
    for point in points:
        near = np.linalg.norm(lab - _colour_at(lab, point), axis=2)
        joined = cv2.morphologyEx((near < away).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        joined[point[1], point[0]] = 1
        _, parts = cv2.connectedComponents(joined, connectivity=4)
        found |= parts == parts[point[1], point[0]]
    return found


def _colour_at(lab: np.ndarray, point: tuple[int, int]) -> np.ndarray:
    """The median colour around a point."""
    x, y = point
    patch = lab[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].reshape(-1, 3)
    return np.asarray(np.median(patch, axis=0))


def _joined(found: np.ndarray, hints: Hints, corner: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """The parts that hold a positive point; with only a box, those that are not tiny. Holes of a few pixels close."""
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
    """Points in the window's own pixels; raises `InputError` for one outside the image."""
    found = []
    for point in points:
        x, y = (np.array(point) - corner) * factors
        if not (-1 <= x <= size[1] and -1 <= y <= size[0]):
            raise InputError(f"point {point[0]:g},{point[1]:g}: lies outside the picture")
        found.append((int(np.clip(x, 0, size[1] - 1)), int(np.clip(y, 0, size[0] - 1))))
    return found
