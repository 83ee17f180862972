"""Frames and masks passed to public functions, as checked arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image

from aotlab.media.images import to_array
from aotlab.media.masks import soft_to_labels
from aotlab.utils.errors import InputError, require
from aotlab.utils.numbers import MAX_COUNT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

FrameLike: TypeAlias = "np.ndarray | Image.Image | Tensor"
MaskLike: TypeAlias = "np.ndarray | Image.Image | Tensor | Sequence[Sequence[int]]"


def convert_frame(frame: FrameLike, expected: tuple[int, ...] | None = None) -> np.ndarray:
    """Convert a frame to H×W×3 uint8.

    Args:
        frame: array, RGB PIL image or tensor.
        expected: (H, W, 3) of earlier frames; None for the first frame.
    """
    array = to_array("frame", frame)
    mode = frame.mode if isinstance(frame, Image.Image) else "RGB"
    require(mode == "RGB", f"expected RGB, got an image of mode {mode}", subject="frame", remedy="call convert('RGB')")
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or not array.size:
        raise InputError(
            f"expected H×W×3 uint8 RGB, got {type(frame).__name__} ({array.dtype} of shape {array.shape})",
            subject="frame",
        )
    if expected is not None and array.shape != expected:
        raise InputError(
            f"{array.shape[1]}×{array.shape[0]}, but the video began with {expected[1]}×{expected[0]}",
            subject="frame",
            remedy="for a new video call reset(), or make a new tracker",
        )
    return np.ascontiguousarray(array)  # PyTorch refuses negative strides, as of ``bgr[..., ::-1]``


def convert_mask(
    mask: MaskLike, size: tuple[int, ...], *, required: bool, max_id: int = MAX_COUNT
) -> np.ndarray | None:
    """Convert a mask to H×W object ids; return None if it has no object.

    Args:
        mask: array, palette image, tensor or lists; True is object 1. Floats are values from 0 to 1 of object 1, or
            n×H×W of objects 1 to n, see `soft_to_labels`.
        size: (H, W) of its frame.
        required: refuse a mask without objects.
        max_id: largest allowed object id.
    """
    array = to_array("mask", mask)
    if array.dtype.kind == "f" and array.ndim in (2, 3) and array.shape[-2:] == size:
        array = soft_to_labels(array[None] if array.ndim == 2 else array)
    if array.dtype.kind not in "biu" or array.shape != size:
        raise InputError(
            f"expected integer object ids of shape {size}, got {array.dtype} of shape {array.shape}",
            subject="mask",
        )
    array = array.astype(np.uint8) if array.dtype == bool else array
    if array.min() < 0 or array.max() > max_id:
        raise InputError(f"object ids must be 0 to {max_id}, got {array.min()} to {array.max()}", subject="mask")
    if required and not array.any():
        raise InputError("no objects", subject="mask", remedy="give ids above 0 where they are")
    return array if array.any() else None
