"""Clips with masks, on which exports are calibrated and verified."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from aotlab.dataloaders.sequences import match_masks, read_video
from aotlab.media.images import read_image
from aotlab.media.masks import read_mask, resize_labels
from aotlab.utils.errors import require

Clip = Sequence[tuple[np.ndarray, np.ndarray]]
"""Pairs of a frame H×W×3 uint8 RGB and its mask H×W of object ids."""
CALIBRATION_FRAMES = 16
"""Number of frames of a clip, the first ones, whose tensors give the ranges of int8."""


def read_clip(images: Path, masks: Path, length: int, size: tuple[int, int] | None = None) -> Clip:
    """Read the first frames of a folder that have masks of the same name, at least 2.

    ``size``: (height, width) to resize them to; None: unchanged.

    Raises:
        InputError: fewer frames with masks, unreadable files, or a first mask without objects.
    """
    video = read_video("calibration", images, masks)
    clip = []
    for index, path in sorted(match_masks(video.frames, video.annotations).items())[:length]:
        frame = read_image(video.frames[index])
        mask = read_mask(path, size=frame.shape[:2])
        if size is not None:
            frame = np.asarray(Image.fromarray(frame).resize(size[::-1], Image.Resampling.BICUBIC))
            mask = resize_labels(mask, size)
        clip.append((frame, mask))
    require(len(clip) > 1, f"expected masks for at least 2 frames of {images}", subject=masks)
    require(clip[0][1].any(), "the first mask has no objects", subject=masks, remedy="start with one that has")
    return clip
