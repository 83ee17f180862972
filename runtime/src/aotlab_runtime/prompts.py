"""`Prompt`, points on an object and a box around it; checks of prompts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from aotlab_runtime.images import ImageSize
from aotlab_runtime.inputs import InputError, is_integer_between, require, shorten

log = logging.getLogger(__name__)

EXPECTED_PROMPTS = "prompts: give a dict of prompts by object id from 1, {1: Prompt(...)}"
OUTSIDE = "outside the image of {1}×{0}; give pixels of the image"


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
    negative: np.ndarray  # points off the object, also those on others, Q×2
    box: np.ndarray | None  # (left, top) and (right, bottom), clipped to the frame, 2×2


CheckedPrompts = dict[int, CheckedPrompt]
"""Checked prompts by object id."""


def check_prompts(prompts: Prompts, size: ImageSize) -> CheckedPrompts:
    """Return prompts by object id for a frame of (height, width); raise `InputError` if one is unusable."""
    has_ids = isinstance(prompts, Mapping) and all(is_integer_between(key, 1) for key in prompts)
    require(has_ids, EXPECTED_PROMPTS)
    checked: CheckedPrompts = {}
    for object_id, value in prompts.items():
        prompt = value if isinstance(value, Prompt) else Prompt(value)
        require(type(prompt.points).__name__ != "Prompt", "got an aotlab.Prompt; import Prompt from aotlab_runtime")
        box = None if prompt.box is None else check_box(prompt.box, size, int(object_id))
        checked[int(object_id)] = CheckedPrompt(*check_points(prompt, size), box)
    for object_id, own in checked.items():
        others = [other.positive for other in checked.values() if other is not own]
        checked[object_id] = own._replace(negative=np.concatenate([own.negative, *others]))
    return checked


def check_points(prompt: Prompt, size: ImageSize) -> tuple[np.ndarray, np.ndarray]:
    """Return the positive and the negative points of a prompt for a frame of (height, width)."""
    message = "prompt: points must be pairs (x, y) of finite numbers in pixels, got {}; give a box as Prompt(box=...)"
    message = message.format(shorten(prompt.points))
    points = to_numbers(prompt.points, message, "iuf")
    require(not points.size or (points.ndim <= 2 and points.shape[-1:] == (2,)), message)
    points = points.reshape(-1, 2)
    given = np.ones(len(points)) if prompt.labels is None else prompt.labels
    message = f"prompt: expected a label of 0 or 1 for each of {len(points)} points, got {shorten(given)}"
    labels = np.atleast_1d(to_numbers(given, message, "biuf"))
    require(labels.shape == (len(points),) and np.isin(labels, (0, 1)).all(), message)
    require(labels.any() or prompt.box is not None, "prompt: give a box or a point on the object")
    for x, y in points:
        require(-1 <= x <= size[1] and -1 <= y <= size[0], f"point {x:g},{y:g}: {OUTSIDE.format(*size)}")
    return points[labels == 1], points[labels == 0]


def check_box(box: ArrayLike, size: ImageSize, object_id: int) -> np.ndarray:
    """Return (left, top) and (right, bottom) of a box, clipped to a frame of (height, width)."""
    message = f"box {shorten(box)}: expected left, top, width and height in pixels, at least 2 each"
    values = to_numbers(box, message, "iuf")
    require(values.shape == (4,) and values[2:].min() >= 2, message)
    corners = np.stack([values[:2], values[:2] + values[2:]]).clip(0, size[::-1])
    sides, text = corners[1] - corners[0], ",".join(f"{value:g}" for value in values)
    require(sides.min() >= 2, f"box {text}: {OUTSIDE.format(*size)}")
    if (sides / values[2:]).min() < 0.9:  # corners were probably given
        message = f"extends beyond the image ({size[1]}×{size[0]}) and is cropped"
        log.warning("box %s of object %d: %s; a box is left, top, width, height", text, object_id, message)
    return corners


def to_numbers(values: ArrayLike, message: str, kinds: str) -> np.ndarray:
    """Convert finite numbers, whose `numpy.dtype.kind` is in ``kinds``, to floats; raise `InputError` for others."""
    try:
        array = np.asarray(values)
    except Exception as error:  # ragged lists, tensors on a GPU
        raise InputError(message) from error
    require(not array.size or (array.dtype.kind in kinds and np.isfinite(array).all()), message)
    return array.astype(float)
