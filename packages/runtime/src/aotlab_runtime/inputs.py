"""`Prompt`, and checks of frames, masks and prompts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from numbers import Integral
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from aotlab_runtime.errors import InputError, describe_error, require, shorten

log = logging.getLogger(__name__)

MAX_ID = 2**31 - 1  # largest object id, number of frames, and coordinate of a box
EXPECTED_PROMPTS = "prompts: give a dict of prompts by object id from 1, {1: Prompt(...)}"
FRACTIONS = "{}: not in pixels; multiply fractions of the image by its width and height"


@dataclass(frozen=True, eq=False)
class Prompt:
    """Prompts for one object of a frame, in pixels of the frame; checked when they are used.

    >>> Prompt(points=[(120, 80), (40, 80)], labels=[1, 0])
    >>> Prompt(box=(100, 60, 50, 40))
    """

    points: ArrayLike = ()
    """Points (x, y), or a single point, on the object (positive) or off it (negative). Pixel centers are integers."""
    labels: ArrayLike | None = None
    """1 for a positive, 0 for a negative point; None: all are positive."""
    box: ArrayLike | None = None
    """Box around the object: left, top, width, height. The frame begins at 0."""


Prompts = Mapping[int, Prompt | ArrayLike]
"""Prompts by object id; ``{1: (x, y)}`` is short for ``{1: Prompt(points=(x, y))}``."""


class CheckedPrompt(NamedTuple):
    """A `Prompt` that fits its frame, as arrays."""

    positive: np.ndarray  # points (x, y) on the object, P×2
    negative: np.ndarray  # points off the object, including those on other objects, Q×2
    box: np.ndarray | None  # (left, top) and (right, bottom), clipped to the frame, 2×2


CheckedPrompts = dict[int, CheckedPrompt]  # by object id


def check_frame(frame: ArrayLike, expected: tuple[int, ...] | None) -> np.ndarray:
    """Return a frame as an array H×W×3 uint8 RGB; ``expected``: shape of the video's frames, None before the first."""
    array = to_array("frame", frame)
    mode = getattr(frame, "mode", None)  # text for PIL images, a method of tensors
    if isinstance(mode, str) and mode != "RGB":
        raise InputError(f"frame: expected RGB, got an image of mode {mode}; call convert('RGB')")
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or not array.size:
        actual = f"{type(frame).__name__} ({array.dtype} of shape {array.shape})"
        raise InputError(f"frame: expected H×W×3 uint8 RGB, got {actual}")
    if expected and array.shape != expected:
        sizes = f"{array.shape[1]}×{array.shape[0]}, but the video began with {expected[1]}×{expected[0]}"
        raise InputError(f"frame: {sizes}; call reset() for a new video")
    return array


def check_mask(mask: ArrayLike, size: tuple[int, int]) -> np.ndarray:
    """Return a mask H×W, bool or integers, as int64, for a frame of (height, width)."""
    array = to_array("mask", mask)
    is_mask = array.dtype.kind in "biu" and array.shape == size
    require(is_mask, f"mask: expected integer object ids of shape {size}, got {array.dtype} of shape {array.shape}")
    low, high = array.min(), array.max()
    require(low >= 0 and high <= MAX_ID, f"mask: object ids must be 0 to {MAX_ID}, got {low} to {high}")
    return array.astype(np.int64)


def check_prompts(prompts: Prompts, size: tuple[int, int]) -> CheckedPrompts:
    """Return prompts by object id for a frame of (height, width); raise `InputError` if one is unusable."""
    has_ids = isinstance(prompts, Mapping) and all(is_integer_between(key, 1) for key in prompts)
    require(has_ids, EXPECTED_PROMPTS)
    checked: CheckedPrompts = {}
    for object_id, value in prompts.items():
        prompt = value if isinstance(value, Prompt) else Prompt(value)
        box = None if prompt.box is None else check_box(prompt.box, size, int(object_id))
        checked[int(object_id)] = CheckedPrompt(*check_points(prompt, size), box)
    for object_id, own in checked.items():
        others = [other.positive for other in checked.values() if other is not own]
        checked[object_id] = own._replace(negative=np.concatenate([own.negative, *others]))
    return checked


def check_points(prompt: Prompt, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the positive and the negative points of a prompt for a frame of (height, width)."""
    points = to_floats(prompt.points)
    if points.ndim not in (1, 2) or points.shape[-1] not in (0, 2) or not np.isfinite(points).all():
        message = f"prompt: points must be pairs (x, y) of finite numbers in pixels, got {shorten(prompt.points)}"
        raise InputError(f"{message}; give a box as Prompt(box=...)")
    points = points.reshape(-1, 2)
    require(not are_fractions(points), FRACTIONS.format(f"points {shorten(prompt.points)}"))
    labels = np.ones(len(points)) if prompt.labels is None else np.atleast_1d(to_floats(prompt.labels))
    if labels.shape != (len(points),) or not np.isin(labels, (0, 1)).all():
        expected = f"a label of 0 or 1 for each of {len(points)} points"
        raise InputError(f"prompt: expected {expected}, got {shorten(prompt.labels)}")
    require(labels.any() or prompt.box is not None, "prompt: give a box or a point on the object")
    for x, y in points[((points < -0.5) | (points > size[::-1])).any(1)]:
        raise InputError(f"point {x:g},{y:g}: outside the image of {size[1]}×{size[0]}; give pixels of the image")
    return points[labels == 1], points[labels == 0]


def check_box(box: ArrayLike, size: tuple[int, int], object_id: int) -> np.ndarray:
    """Return (left, top) and (right, bottom) of a box, clipped to a frame of (height, width)."""
    values, (height, width) = to_floats(box), size
    require(not are_fractions(values), FRACTIONS.format(f"box {shorten(box)}"))
    is_box = values.shape == (4,) and (np.abs(values) <= MAX_ID).all() and values[2:].min() >= 2
    require(is_box, f"box {shorten(box)}: expected left, top, width and height in pixels, at least 2 each")
    corners = np.stack([values[:2], values[:2] + values[2:]]).clip(0, (width, height))
    sides, text = corners[1] - corners[0], ",".join(f"{value:g}" for value in values)
    require(sides.min() >= 2, f"box {text}: outside the image of {width}×{height}; give pixels of the image")
    if (sides / values[2:]).min() < 0.9:
        if values.min() >= 0 and (values[:2] + 2 <= values[2:]).all() and (values[2:] <= (width, height)).all():
            left, top, right, bottom = values
            raise InputError(
                f"box {text}: extends beyond the image of {width}×{height}, so it is probably two corners; "
                f"give left, top, width and height, here {left:g},{top:g},{right - left:g},{bottom - top:g}"
            )
        message = f"extends beyond the image ({width}×{height}) and is cropped"
        log.warning("box %s of object %d: %s; a box is left, top, width, height", text, object_id, message)
    return corners


def are_fractions(values: np.ndarray) -> bool:
    """Return whether coordinates are fractions of the image instead of pixels: all in 0 to 1, and not all whole."""
    return bool(((values >= 0) & (values <= 1)).all() and (values % 1).any())


def to_array(name: str, value: ArrayLike) -> np.ndarray:
    """Convert a frame or mask to an array; raise `InputError` if that fails."""
    try:
        return np.asarray(value)
    except Exception as error:  # ragged lists, tensors on a GPU
        raise InputError(f"{name}: expected an array, got {type(value).__name__} ({describe_error(error)})") from error


def to_floats(values: ArrayLike) -> np.ndarray:
    """Convert numbers to floats, and everything else to NaN."""
    with suppress(Exception):  # ragged lists, tensors on a GPU
        array = np.asarray(values)
        if array.dtype.kind in "biuf":
            return array.astype(float)
    return np.array(np.nan)


def is_integer_between(value: object, low: int, high: int = MAX_ID) -> bool:
    """Return whether a value is an integer of Python or NumPy from ``low`` to ``high``; bool is not."""
    return isinstance(value, Integral) and not isinstance(value, bool) and low <= int(value) <= high
