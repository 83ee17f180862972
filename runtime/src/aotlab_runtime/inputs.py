"""Checks of what a tracker is given: frames, masks, prompts and sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from aotlab_runtime.images import ImageSize

MAX_ID = 2**31 - 1
"""largest object id"""
MAX_SIDE = 2**15
"""largest side of a prediction in pixels"""
Point = tuple[float, float]
"""x and y in pixels"""


class InputError(ValueError):
    """Unusable input, described in one sentence."""


@dataclass(frozen=True)
class Prompt:
    """Prompts for one object of a frame, in pixels of the frame; checked when they are used.

    >>> Prompt(points=[(120, 80), (40, 80)], labels=[1, 0])
    >>> Prompt(box=(100, 60, 50, 40))
    """

    points: Sequence[Point] | Point = ()
    """points (x, y), or one point, positive on the object or negative off it"""
    labels: Sequence[int] | None = None
    """1 for a positive, 0 for a negative point; None: all are positive"""
    box: tuple[float, float, float, float] | None = None
    """box around the object: left, top, width, height"""


class CheckedPrompt(NamedTuple):
    """A usable `Prompt` of a frame."""

    positive: list[Point]
    """points on the object"""
    negative: list[Point]
    """points off the object"""
    box: np.ndarray | None
    """corners (left, top) and (right, bottom) in the frame, 2×2"""


def require(condition: object, message: str) -> None:
    """Raise `InputError` unless the condition holds."""
    if not condition:
        raise InputError(message)


def is_integer(value: object) -> bool:
    """Return whether a value is an integer of Python or numpy, and not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def to_array(values: Any) -> np.ndarray:
    """Return values as an array; rows of different lengths become an empty one of objects."""
    try:
        return np.asarray(values)
    except ValueError:
        return np.empty(0, object)


def is_vector(values: Any, length: int) -> bool:
    """Return whether values are ``length`` finite numbers."""
    numbers = to_array(values)
    return numbers.shape == (length,) and numbers.dtype.kind in "biuf" and bool(np.isfinite(numbers).all())


def convert_frame(frame: np.ndarray, expected: tuple[int, ...] | None) -> np.ndarray:
    """Return a frame H×W×3 uint8 RGB; raise `InputError` for another array, or a shape other than ``expected``."""
    array = to_array(frame)
    require(
        array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8 and array.size,
        f"frame: expected H×W×3 uint8 RGB, got {type(frame).__name__} ({array.dtype} of shape {array.shape}); read "
        'files first, check that reading succeeded, and convert("RGB") images',
    )
    height, width, _ = expected or array.shape
    require(
        array.shape == (height, width, 3),
        f"frame: {array.shape[1]}×{array.shape[0]}, but the video began with {width}×{height}; "
        "call reset() for a new video",
    )
    return array


def convert_mask(mask: np.ndarray, frame: np.ndarray, *, required: bool) -> np.ndarray | None:
    """Return a mask H×W of object ids, None without objects; raises `InputError` if it is not a mask of the frame.

    ``required``: reject a mask without objects.
    """
    array = to_array(mask)
    array = array.astype(np.uint8) if array.dtype == bool else array
    require(
        array.shape == frame.shape[:2],
        f"mask: {type(mask).__name__} of shape {array.shape} does not match the frame {frame.shape[:2]}; "
        "give one object id per pixel, not colors or planes",
    )
    integers = array.dtype.kind in "iu"
    require(integers, f"mask: expected integers, got {array.dtype}; convert it, as in mask.astype(int)")
    low, high = array.min(), array.max()
    require(
        low >= 0 and high <= MAX_ID,
        f"mask: expected object ids from 0 to {MAX_ID}, got {array.dtype} of {low} to {high}",
    )
    require(high > 0 or not required, "mask is empty: give ids above 0 where the objects are")
    return array if high > 0 else None


def convert_output_size(size: Sequence[int]) -> ImageSize:
    """Return the (height, width) of a prediction; raises `InputError` unless they are whole and in range."""
    require(
        is_vector(size, 2) and all(side == int(side) and 1 <= side <= MAX_SIDE for side in size),
        f"size: expected (height, width) in whole pixels from 1 to {MAX_SIDE}, got {str(size)[:80]}",
    )
    height, width = size
    return int(height), int(width)


def check_prompts(prompts: Mapping[int, Prompt], size: ImageSize) -> dict[int, CheckedPrompt]:
    """Return prompts by object id, with boxes cropped to a frame of (height, width); a pair (x, y) is one point.

    Raises:
        InputError: not prompts by object id, or one outside the frame.
    """
    require(
        isinstance(prompts, Mapping)
        and len(prompts) > 0
        and all(is_integer(object_id) and 0 < object_id <= MAX_ID for object_id in prompts)
        and all(isinstance(prompt, Prompt) or is_vector(prompt, 2) for prompt in prompts.values()),
        f"prompts: got {str(prompts)[:80]}; give prompts by object id from 1 to {MAX_ID}, {{1: Prompt(...)}}",
    )
    return {
        object_id: _check_prompt(prompt if isinstance(prompt, Prompt) else Prompt(prompt), size)
        for object_id, prompt in prompts.items()
    }


def _check_prompt(prompt: Prompt, size: ImageSize) -> CheckedPrompt:
    height, width = size
    given: Any = prompt.points
    points = list(given) if np.iterable(given) and not is_vector(given, 2) else [given]
    require(
        all(is_vector(point, 2) for point in points),
        "prompt: points must be pairs (x, y) of finite numbers in pixels",
    )
    labels = [1] * len(points) if prompt.labels is None else prompt.labels
    require(
        is_vector(labels, len(points)) and set(labels) <= {0, 1},
        f"prompt: expected a label of 0 or 1 for each of {len(points)} points, got {str(labels)[:60]}",
    )
    numbers = np.reshape(points, (-1, 2))
    for x, y in numbers:
        inside = -1 <= x <= width and -1 <= y <= height
        require(inside, f"point {x:g},{y:g}: outside the image of {width}×{height}")
    require(1 in labels or prompt.box is not None, "prompt: give a box or a point on the object")
    positive, negative = (numbers[np.equal(labels, value)].tolist() for value in (1, 0))
    return CheckedPrompt(positive, negative, None if prompt.box is None else _crop_box(prompt.box, size))


def _crop_box(box: Sequence[float], size: ImageSize) -> np.ndarray:
    """Return the corners (left, top) and (right, bottom) of the part of a box in a frame of (height, width)."""
    require(
        is_vector(box, 4) and min(box[2:]) >= 2,
        f"box {str(box)[:60]}: expected left, top, width and height in pixels, at least 2 each",
    )
    left, top, across, down = box
    corners = np.array([(left, top), (left + across, top + down)]).clip(0, (size[1], size[0]))
    text = ",".join(f"{value:g}" for value in box)
    require((corners[1] - corners[0]).min() >= 2, f"box {text}: outside the image of {size[1]}×{size[0]}")
    return corners
