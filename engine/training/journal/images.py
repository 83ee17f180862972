"""Images of training clips: labels above, predicted masks below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aotlab.engine.training.clip_training import ClipBatch
from aotlab.masks.overlay import overlay, strip, write_text
from aotlab.networks.preprocess import IMAGE_MEAN, IMAGE_STD
from aotlab.utils.files import atomic_path

CLIPS, FRAMES, HEIGHT = 2, 6, 256
"""largest number of clips and frames in an image, and largest height of a frame in pixels"""

GAP = 6
"""width of the white gap between frames in pixels; twice that between clips"""


def clip_image(clip: ClipBatch, predictions: list[Tensor]) -> np.ndarray:
    """Draw the first clips of a batch in two rows each: frames with labels, frames with predicted masks.

    Long clips are shown by evenly spaced frames, including the first and last.

    Args:
        clip: the batch.
        predictions: B×H×W labels per frame, the reference frame's first.

    Returns:
        (height of all rows)×(width of a row)×3 uint8 RGB.
    """
    length, batch, _, height, width = clip.images.shape
    scale = min(1.0, HEIGHT / height)
    size = round(width * scale), round(height * scale)
    shown = np.linspace(0, length - 1, min(length, FRAMES)).round().astype(int).tolist()
    pairs = []
    for index in range(min(batch, CLIPS)):
        frames = [_frame(clip.images[t, index], size) for t in shown]
        rows = [
            _row(caption, frames, [masks[t][index] for t in shown])
            for caption, masks in (("ground truth", clip.labels), ("predicted", predictions))
        ]
        pairs.append(_column(rows, GAP))
    return _column(pairs, 2 * GAP)


def save_image(image: np.ndarray, path: Path, *, keep: int) -> None:
    """Write an H×W×3 uint8 image as JPEG, and keep the ``keep`` newest JPEGs of the folder."""
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, quality=90)
    for old in sorted(path.parent.glob("*.jpg"), key=lambda other: other.stat().st_mtime)[:-keep]:
        old.unlink(missing_ok=True)


def _frame(image: Tensor, size: tuple[int, int]) -> np.ndarray:
    pixels = image.detach().float().cpu().movedim(0, -1)
    pixels = (pixels * torch.tensor(IMAGE_STD) + torch.tensor(IMAGE_MEAN)) * 255
    frame = pixels.round().clamp(0, 255).to(torch.uint8).numpy()
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))


def _row(caption: str, frames: Sequence[np.ndarray], masks: Sequence[Tensor]) -> np.ndarray:
    """Draw frames with masks side by side, with the caption in the first one's corner."""
    images = []
    for frame, mask in zip(frames, masks, strict=True):
        labels = mask.cpu().to(torch.uint8).numpy()
        small = cv2.resize(labels, frame.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        images.append(overlay(frame, np.asarray(small)))
    letters = min(11.0, images[0].shape[1] / 36)
    write_text(images[0], caption, (4, int(letters) + 4), letters)
    return strip(images, gap=GAP)


def _column(images: Sequence[np.ndarray], gap: int) -> np.ndarray:
    return strip([image.swapaxes(0, 1) for image in images], gap=gap).swapaxes(0, 1)
