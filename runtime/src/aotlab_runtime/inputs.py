"""Prompts, and checks of frames, masks and prompts.

Messages write sizes as width×height, like video players, and shapes as (height, width), like NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from aotlab_runtime.images import ImageSize

MAX_ID = 2**31 - 1
"""largest object id"""
Point = tuple[float, float]
"""x and y in pixels"""


class InputError(ValueError):
    """Unusable input, described in one sentence."""


class CheckedPrompt(NamedTuple):
    """A `Prompt` checked against its frame."""

    positive: list[Point]
    """points on the object"""
    negative: list[Point]
    """points off the object"""
    box: np.ndarray | None
    """corners (left, top) and (right, bottom) in the frame, 2×2"""
    exclude: np.ndarray
    """pixels that the object cannot have, H×W bool"""


@dataclass(frozen=True, eq=False)
class Prompt:
    """Prompts for one object of a frame, in pixels of the frame; checked when they are used.

    >>> Prompt(points=[(120, 80), (40, 80)], labels=[1, 0])
    >>> Prompt(box=(100, 60, 50, 40))
    """

    points: Sequence[Point] | Point = ()
    """points (x, y), or one point, positive on the object or negative off it"""
    labels: Sequence[int] | int | None = None
    """1 for a positive, 0 for a negative point; None: all are positive"""
    box: tuple[float, float, float, float] | None = None
    """box around the object: left, top, width, height"""
    exclude: np.ndarray | None = None
    """pixels of other objects, never part of this one, H×W bool"""

    def check(self, size: ImageSize) -> CheckedPrompt:
        """Return points by sign, and the corners of the box clipped to a frame of (height, width)."""
        height, width = size
        points = to_array(self.points, "points", float)
        points = points.reshape(-1, 2) if points.shape == (2,) or not points.size else points
        require(
            points.ndim == 2 and points.shape[1] == 2 and np.isfinite(points).all(),
            f"prompt: points must be pairs (x, y) of finite numbers in pixels, got {self.points!s:.60}",
        )
        labels = np.ones(len(points)) if self.labels is None else to_array(self.labels, "labels", float)
        labels = np.atleast_1d(labels)
        require(
            labels.shape == (len(points),) and np.isin(labels, (0, 1)).all(),
            f"prompt: expected a label of 0 or 1 for each of {len(points)} points, got {self.labels!s:.60}",
        )
        require(labels.any() or self.box is not None, "prompt: give a box or a point on the object")
        for x, y in points:
            inside = -1 <= x <= width and -1 <= y <= height
            require(inside, f"point {x:g},{y:g}: outside the image of {width}×{height}")
        corners = None
        if self.box is not None:
            message = (
                f"box {self.box!s:.60}: expected left, top, width and height in pixels, at least 2 each inside the "
                f"image of {width}×{height}"
            )
            box = to_array(self.box, "box", float)
            require(box.shape == (4,) and np.isfinite(box).all(), message)
            corners = np.stack([box[:2], box[:2] + box[2:]]).clip(0, (width, height))
            require((corners[1] - corners[0]).min() >= 2, message)
        exclude = np.zeros(size, bool) if self.exclude is None else to_array(self.exclude, "exclude", bool)
        require(
            exclude.shape == size,
            f"prompt: exclude of shape {exclude.shape} does not match the frame's {size}; resize it",
        )
        return CheckedPrompt(points[labels == 1].tolist(), points[labels == 0].tolist(), corners, exclude)


def require(condition: object, message: str) -> None:
    """Raise `InputError` unless the condition holds."""
    if not condition:
        raise InputError(message)


def to_array(value: Any, name: str, dtype: type | None = None) -> np.ndarray:
    """Return a value as an array; raise `InputError` for ragged lists and anything not numeric."""
    try:
        return np.asarray(value, dtype)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected numbers, got {value!s:.60}") from error


def check_frame(frame: Any, expected: tuple[int, ...] | None) -> np.ndarray:
    """Return a frame H×W×3 uint8 RGB, of the shape ``expected`` if it is given."""
    array = to_array(frame, "frame")
    require(
        array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8 and array.size,
        f"frame: expected H×W×3 uint8 RGB, got {type(frame).__name__} ({array.dtype} of shape {array.shape})",
    )
    height, width, _ = expected or array.shape
    require(
        array.shape == (height, width, 3),
        f"frame: {array.shape[1]}×{array.shape[0]}, but the video began with {width}×{height}; "
        "call reset() for a new video",
    )
    return array


def check_mask(mask: Any, frame: np.ndarray) -> np.ndarray:
    """Return the object ids H×W int64 of a frame's mask, which is bool or of integers."""
    array = to_array(mask, "mask")
    require(
        array.dtype.kind in "biu" and array.shape == frame.shape[:2],
        f"mask: expected integer object ids of shape {frame.shape[:2]}, got {array.dtype} of shape {array.shape}",
    )
    low, high = array.min(), array.max()
    require(low >= 0 and high <= MAX_ID, f"mask: object ids must be 0 to {MAX_ID}, got {low} to {high}")
    return array.astype(np.int64)


def check_prompts(prompts: Mapping[int, Prompt | Point], size: ImageSize) -> dict[int, CheckedPrompt]:
    """Return prompts by object id for a frame of (height, width); a pair (x, y) is one point."""
    numbered = isinstance(prompts, Mapping) and all(
        isinstance(object_id, Integral) and 0 < object_id <= MAX_ID for object_id in prompts
    )
    require(prompts and numbered, "prompts: give a dict of prompts by object id from 1, {1: Prompt(...)}")
    return {
        int(object_id): (prompt if isinstance(prompt, Prompt) else Prompt(prompt)).check(size)
        for object_id, prompt in prompts.items()
    }
