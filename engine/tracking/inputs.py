"""Checks of frames, masks and sizes given to a tracker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from aotlab.utils.errors import InputError
from aotlab.utils.numbers import MAX_COUNT, MAX_SIDE

ImageSize = tuple[int, int]
"""(height, width) in pixels"""
FrameLike = np.ndarray | Image.Image | Tensor
MaskLike = np.ndarray | Image.Image | Tensor | Sequence[Sequence[int]]


def convert_frame(frame: FrameLike, expected: tuple[int, ...] | None) -> np.ndarray:
    """Convert a frame to H×W×3 uint8.

    Args:
        frame: array, RGB PIL image or tensor.
        expected: (H, W, 3) of earlier frames; None for the first.

    Raises:
        InputError: not a frame, or of another size than earlier ones.
    """
    array = _to_array("frame", frame)
    rgb = frame.mode == "RGB" if isinstance(frame, Image.Image) else True
    if not rgb or array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or not array.size:
        raise InputError(
            f"frame: expected H×W×3 uint8 RGB, got {type(frame).__name__} ({array.dtype} of shape {array.shape}); read "
            'files first, check that reading succeeded, and convert("RGB") images'
        )
    if expected is not None and array.shape != expected:
        raise InputError(
            f"frame: {array.shape[1]}×{array.shape[0]}, but the video began with {expected[1]}×{expected[0]}; "
            "call reset() for a new video"
        )
    return array


def convert_mask(mask: MaskLike, frame: np.ndarray, *, required: bool) -> np.ndarray | None:
    """Convert a mask to H×W object ids; return None if it has no object.

    Args:
        mask: array, palette image, tensor or lists; True is object 1.
        frame: H×W×3, its frame.
        required: refuse a mask without objects.

    Raises:
        InputError: not a mask of this frame.
    """
    array, size = _to_array("mask", mask), frame.shape[:2]
    array = array.astype(np.uint8) if array.dtype == bool else array
    if array.shape != size:
        raise InputError(
            f"mask: {type(mask).__name__} of shape {array.shape} does not match the frame {size}; "
            "give an array of one object id per pixel, not a file, colors, planes or prompts"
        )
    if array.dtype.kind not in "iu" or array.min() < 0 or array.max() > MAX_COUNT:
        raise InputError(
            f"mask: expected integers, object ids from 0 to {MAX_COUNT}, got {array.dtype} of {array.min()} to "
            f"{array.max()}; convert it, as in mask.astype(int)"
        )
    if required and not array.any():
        raise InputError("mask is empty: give ids above 0 where the objects are")
    return array if array.any() else None


def convert_output_size(size: Sequence[int]) -> ImageSize:
    """Convert (height, width) of a prediction to integers; raises `InputError` unless they are whole and in range."""
    try:
        height, width = size
        if all(side == int(side) and 1 <= side <= MAX_SIDE for side in (height, width)):
            return int(height), int(width)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError(
        f"size: expected (height, width) in whole pixels from 1 to {MAX_SIDE}, got {str(size)[:80]}"
    )


def _to_array(name: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    # ragged lists, tensors on a GPU, broken images
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        raise InputError(f"{name}: expected an array, got {type(value).__name__} ({error})") from error
