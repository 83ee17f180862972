"""Checks of the frames, masks and sizes passed to a tracker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image
from torch import Tensor

from aotlab.media.images import to_array
from aotlab.media.prompt import Point, Prompt
from aotlab.media.soft_masks import split_soft_mask
from aotlab.prompting.segmenter import PromptSegmenter, has_prompts, require_pixels
from aotlab.utils.errors import InputError, require
from aotlab.utils.numbers import MAX_COUNT, MAX_SIDE

ImageSize = tuple[int, int]
"""(height, width) in pixels."""
FrameLike = np.ndarray | Image.Image | Tensor
MaskLike = np.ndarray | Image.Image | Tensor | Sequence[Sequence[int]]


def prepare_inputs(
    frame: FrameLike,
    mask: MaskLike | None = None,
    size: ImageSize | None = None,
    prompts: Mapping[int, Prompt | Point] | None = None,
    *,
    is_tracking: bool,
    frame_shape: tuple[int, ...] | None,
    segmenter: PromptSegmenter | None,
) -> tuple[np.ndarray, np.ndarray | None, ImageSize]:
    """Check the arguments of `VideoTracker.step`; return frame, mask with the objects of prompts, and output size.

    Args:
        is_tracking: whether an object is tracked already; if not, a mask must have one.
        frame_shape: (H, W, 3) of earlier frames; None before the first one.
        segmenter: makes masks of prompts; None leaves them out of the mask.
    """
    frame = convert_frame(frame, frame_shape)
    size = (frame.shape[0], frame.shape[1]) if size is None else convert_output_size(size)
    if mask is not None:
        mask = convert_mask(mask, frame.shape[:2], required=not is_tracking and not has_prompts(prompts))
    if has_prompts(prompts) and segmenter is not None:
        mask = segmenter(frame, prompts, keep=mask)
        require_pixels(mask, prompts)
    return frame, mask, size


def convert_frame(frame: FrameLike, expected: tuple[int, ...] | None) -> np.ndarray:
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
            remedy="call reset() for a new video",
        )
    return np.ascontiguousarray(array)  # PyTorch refuses negative strides, as of ``bgr[..., ::-1]``


def convert_mask(
    mask: MaskLike, size: tuple[int, ...], *, required: bool, max_id: int = MAX_COUNT
) -> np.ndarray | None:
    """Convert a mask to H×W object ids; return None if it has no object.

    Args:
        mask: array, palette image, tensor or lists; True is object 1. Floats are values from 0 to 1 of object 1, or
            n×H×W of objects 1 to n, see `split_soft_mask`.
        size: (H, W) of its frame.
        required: refuse a mask without objects.
        max_id: largest allowed object id.
    """
    array = to_array("mask", mask)
    if array.dtype.kind == "f" and array.ndim in (2, 3) and array.shape[-2:] == size:
        array, _ = split_soft_mask(array)
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


def convert_output_size(size: Sequence[int]) -> ImageSize:
    """Convert (height, width) of a prediction to integers; raises `InputError` unless they are whole and in range."""
    sides = to_array("size", size)
    require(
        sides.shape == (2,) and sides.dtype.kind in "iu" and sides.min() >= 1 and sides.max() <= MAX_SIDE,
        f"expected (height, width) in whole pixels from 1 to {MAX_SIDE}, got {size}",
        subject="size",
    )
    return int(sides[0]), int(sides[1])
