"""Prompts (clicks, a box, a scribble, a rough mask) for one object."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from aotlab.utils.errors import InputError, require
from aotlab.utils.text import shorten

log = logging.getLogger(__name__)

Point = tuple[float, float]
"""X and y in pixels."""
Box = tuple[float, float, float, float]
"""Left, top, width and height in pixels."""

MASK_VALUES = "prompt: expected a mask of bool or probabilities in 0 to 1; divide one of 255 by 255"
OUTSIDE = "{}: outside the image of {}×{}; give pixels of the image"
FRACTIONS = "{}: not in pixels; multiply fractions of the image by its width and height"
SCRIBBLE_STEP = 8
"""Interval in points at which a scribble becomes clicks, for models that accept only clicks."""
MAX_OUTSIDE_FRACTION = 0.1
"""A box with a larger share of its width or height outside the image is refused if it would fit as two corners."""


@dataclass(eq=False, init=False)
class Prompt:
    """Prompts for one object of a frame, in pixels of the frame.

    Prompts are compared by identity, as masks are arrays.

    >>> Prompt(points=[(120, 80), (40, 80)], labels=[1, 0])
    >>> Prompt(box=(100, 60, 50, 40))
    >>> Prompt.from_corners(100, 60, 150, 100)
    """

    points: tuple[Point, ...]
    """Points (x, y), positive on the object or negative off it; one point may be given alone. The center of the first
    pixel is (0, 0)."""
    labels: tuple[int, ...]
    """1 for a positive, 0 for a negative point (default: all are positive)."""
    box: Box | None
    """Box around the object: left, top, width, height, in which the first pixel spans 0 to 1; `from_corners` takes two
    corners, as SAM 2 does."""
    scribble: tuple[Point, ...]
    """Points (x, y) of a stroke on the object, like ``points``."""
    mask: np.ndarray | None
    """Rough mask or earlier result to correct, H×W bool or probabilities in 0 to 1."""
    exclude: np.ndarray | None
    """Pixels of other objects, never part of this one, H×W bool."""

    def __init__(
        self,
        points: Sequence[Point] | Point = (),
        labels: Sequence[int] | int | None = None,
        box: Box | None = None,
        scribble: Sequence[Point] = (),
        mask: np.ndarray | None = None,
        exclude: np.ndarray | None = None,
    ) -> None:
        if mask is not None:
            mask = _to_array(mask, lambda array: ((array >= 0) & (array <= 1)).all(), MASK_VALUES)
        self.points = _to_points(points)
        self.labels = _to_labels(labels, len(self.points))
        self.box = None if box is None else _to_box(box)
        self.scribble = _to_points(scribble)
        self.mask = mask
        self.exclude = None if exclude is None else np.asarray(exclude, bool)
        has_object = 1 in self.labels or self.scribble or self.box or (mask is not None and mask.any())
        remedy = "give a box, a mask that is not empty, or a point on the object; a negative point only excludes pixels"
        require(has_object, "nothing on the object", subject="prompt", remedy=remedy)

    @classmethod
    def from_corners(cls, x1: float, y1: float, x2: float, y2: float) -> Prompt:
        """Return the prompt of a box with two opposite corners (x1, y1) and (x2, y2), in pixels."""
        corners = x1, y1, x2, y2
        message = f"corners {shorten(corners)}: expected x1, y1, x2 and y2 in pixels"
        return cls(box=corners_to_box(_to_array(corners, lambda array: array.shape == (4,), message).tolist()))

    @property
    def positive_points(self) -> list[Point]:
        """Points on the object."""
        return self._select_points(1)

    @property
    def negative_points(self) -> list[Point]:
        """Points off the object."""
        return self._select_points(0)

    def to_points_and_box(self) -> tuple[list[Point], list[int], Box | None]:
        """Return points, their labels and a box, as SAM takes them: a scribble as points, a mask as its box."""
        positive = [*self.positive_points, *self.scribble[::SCRIBBLE_STEP]]
        labels = [1] * len(positive) + [0] * len(self.negative_points)
        box = self.box
        if box is None and self.mask is not None and self.mask.any():
            box = mask_to_box(self.mask >= min(0.5, self.mask.max()))
        return [*positive, *self.negative_points], labels, box

    def _select_points(self, label: int) -> list[Point]:
        return [point for point, value in zip(self.points, self.labels, strict=True) if value == label]

    def crop_box(self, size: tuple[int, int], object_id: int = 1, subject: str = "") -> Prompt:
        """Return the prompt with its box cropped to a frame of (height, width).

        A warning, which begins with ``subject``, is logged if much of the box lies outside.

        Raises:
            InputError: points, the box or a mask do not fit the frame, or the box fits only as two corners.
        """
        frame_height, frame_width = size
        # from -0.5, as pixels may be counted by their centers
        for x, y in (*self.points, *self.scribble):
            inside = -0.5 <= x <= frame_width and -0.5 <= y <= frame_height
            require(inside, OUTSIDE.format(f"point {x:g},{y:g}", frame_width, frame_height))
        for name, mask in (("mask", self.mask), ("exclude", self.exclude)):
            shape = size if mask is None else mask.shape
            require(
                shape == size,
                f"{name} of shape {shape} does not match the frame's {size}",
                subject="prompt",
                remedy="resize it",
            )
        if self.box is None:
            return self
        x, y, width, height = self.box
        left, top = max(0.0, x), max(0.0, y)
        right, bottom = min(float(frame_width), x + width), min(float(frame_height), y + height)
        text = f"box {x:g},{y:g},{width:g},{height:g}"
        require(min(right - left, bottom - top) >= 2, OUTSIDE.format(text, frame_width, frame_height))
        if (left, top, right, bottom) == (x, y, x + width, y + height):
            return self
        if min((right - left) / width, (bottom - top) / height) < 1 - MAX_OUTSIDE_FRACTION:
            if 0 <= x <= width - 2 and 0 <= y <= height - 2 and width <= frame_width and height <= frame_height:
                raise InputError(
                    f"extends beyond the image of {frame_width}×{frame_height}, so it is probably two corners",
                    subject=text,
                    remedy=f"give left, top, width and height, here {x:g},{y:g},{width - x:g},{height - y:g}",
                )
            log.warning(
                "%s%s of object %d: extends beyond the image (%d×%d) and is cropped; a box is left, top, width, height",
                subject, text, object_id, frame_width, frame_height,
            )  # fmt: skip
        return replace(self, box=(left, top, right - left, bottom - top))


def are_fractions(values: ArrayLike) -> bool:
    """Return whether coordinates are fractions of the image instead of pixels: all in 0 to 1, and not all whole."""
    array = np.asarray(values)
    return bool(((array >= 0) & (array <= 1)).all() and (array % 1).any())


def mask_to_box(mask: np.ndarray) -> Box:
    """Return the box around a mask H×W bool that is not empty, at least 2 pixels wide and high."""
    (top, bottom), (left, right) = (np.flatnonzero(mask.any(axis))[[0, -1]].astype(float) for axis in (1, 0))
    return left, top, max(2, right + 1 - left), max(2, bottom + 1 - top)


def _to_points(values: object) -> tuple[Point, ...]:
    message = (
        f"prompt: points must be pairs (x, y) of finite numbers in pixels, got {shorten(values)}; "
        "give a box as Prompt(box=...)"
    )
    array = _to_array(values, lambda array: not array.size or (array.shape[-1:] == (2,) and array.ndim <= 2), message)
    require(not are_fractions(array), FRACTIONS.format(f"points {shorten(values)}"))
    return tuple((x, y) for x, y in array.reshape(-1, 2).astype(float).tolist())


def _to_labels(values: object, count: int) -> tuple[int, ...]:
    if values is None:
        return (1,) * count
    message = f"prompt: expected a label of 0 or 1 for each of {count} points, got {shorten(values)}"
    array = _to_array(values, lambda array: array.size == count and np.isin(array, (0, 1)).all(), message)
    return tuple(array.reshape(-1).astype(int).tolist())


def _to_box(values: object) -> Box:
    message = f"box {shorten(values)}: expected left, top, width and height in pixels, at least 2 each"
    array = _to_array(values, lambda array: array.shape == (4,), message)
    require(not are_fractions(array), FRACTIONS.format(f"box {shorten(values)}"))
    left, top, width, height = array.astype(float).tolist()
    require(min(width, height) >= 2, message)
    return left, top, width, height


def corners_to_box(corners: Sequence[float]) -> Box:
    """Return the box with two opposite corners x1, y1, x2 and y2."""
    (left, right), (top, bottom) = sorted(corners[::2]), sorted(corners[1::2])
    return left, top, right - left, bottom - top


def _to_array(values: Any, fits: Callable[[np.ndarray], bool | np.bool_], message: str) -> np.ndarray:
    """Return an array of finite numbers or bools that fits; raise `InputError` with ``message`` for others."""
    with suppress(RuntimeError, TypeError, ValueError):  # text, lists of different lengths, tensors on a GPU
        array = np.asarray(values)
        if np.isfinite(array).all() and fits(array):
            return array
    raise InputError(message)
