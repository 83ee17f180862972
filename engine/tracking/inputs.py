"""Checks of the frames, masks and sizes passed to a tracker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from aotlab.media.arrays import FrameLike, MaskLike, convert_frame, convert_mask
from aotlab.media.images import to_array
from aotlab.media.prompt import Point, Prompt
from aotlab.prompting.segmenter import PromptSegmenter, has_prompts, require_pixels
from aotlab.utils.errors import require
from aotlab.utils.numbers import MAX_SIDE

ImageSize = tuple[int, int]
"""(height, width) in pixels."""


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


def convert_output_size(size: Sequence[int]) -> ImageSize:
    """Convert (height, width) of a prediction to integers; raises `InputError` unless they are whole and in range."""
    sides = to_array("size", size)
    require(
        sides.shape == (2,) and sides.dtype.kind in "iu" and sides.min() >= 1 and sides.max() <= MAX_SIDE,
        f"expected (height, width) in whole pixels from 1 to {MAX_SIDE}, got {size}",
        subject="size",
    )
    return int(sides[0]), int(sides[1])
