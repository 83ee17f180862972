"""Checks of frames, masks and sizes given to a tracker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aotlab_runtime.graphs import InputError, require
from aotlab_runtime.images import ImageSize

MAX_ID = 2**31 - 1
"""largest object id"""
MAX_SIDE = 2**15
"""largest side of a prediction in pixels"""


def convert_frame(frame: np.ndarray, expected: tuple[int, ...] | None) -> np.ndarray:
    """Return a frame H×W×3 uint8 RGB; raise `InputError` for another array, or a shape other than ``expected``."""
    array = np.asarray(frame)
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
    array = np.asarray(mask)
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
    try:
        height, width = size
        if all(side == int(side) and 1 <= side <= MAX_SIDE for side in (height, width)):
            return int(height), int(width)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError(
        f"size: expected (height, width) in whole pixels from 1 to {MAX_SIDE}, got {str(size)[:80]}"
    )
