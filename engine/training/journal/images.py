"""Images of training clips: labels above, predicted masks below."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aotlab.engine.training.clip_training import ClipBatch
from aotlab.masks.overlay import overlay, strip
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

    Raises:
        ValueError: the numbers of predictions and frames differ.
    """
    length, batch, _, height, width = clip.images.shape
    if len(predictions) != length:
        raise ValueError(f"{len(predictions)} predictions do not fit a clip of {length} frames")
    size = _shown_size(height, width)
    shown = np.linspace(0, length - 1, min(length, FRAMES)).round().astype(int).tolist()
    rows = []
    for index in range(min(batch, CLIPS)):
        frames = [_frame(clip.images[t, index], size) for t in shown]
        for caption, masks in (("ground truth", clip.labels), ("predicted", predictions)):
            labels = [_labels(masks[t][index], size) for t in shown]
            rows.append(_row(caption, frames, labels))
    space = np.full((GAP, rows[0].shape[1], 3), 255, dtype=np.uint8)
    parts = [part for i, row in enumerate(rows) for part in [space] * (1 + (i % 2 == 0)) + [row]]
    return np.concatenate(parts[2:])


def save_image(image: np.ndarray, path: Path, *, keep: int) -> None:
    """Write an H×W×3 uint8 image as JPEG, and keep the ``keep`` newest JPEGs of the folder."""
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, quality=90)
    others = [other for other in path.parent.glob("*.jpg") if other != path]
    others.sort(key=lambda other: other.stat().st_mtime, reverse=True)
    for old in others[keep - 1 :]:
        old.unlink(missing_ok=True)


def _shown_size(height: int, width: int) -> tuple[int, int]:
    """Return (width, height) of a frame in the image, never enlarged."""
    scale = min(1.0, HEIGHT / height)
    return round(width * scale), round(height * scale)


def _frame(image: Tensor, size: tuple[int, int]) -> np.ndarray:
    import cv2

    pixels = image.detach().float().cpu().movedim(0, -1)
    pixels = (pixels * torch.tensor(IMAGE_STD) + torch.tensor(IMAGE_MEAN)) * 255
    frame = pixels.round().clamp(0, 255).to(torch.uint8).numpy()
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))


def _labels(labels: Tensor, size: tuple[int, int]) -> np.ndarray:
    import cv2

    small = labels.detach().cpu().to(torch.uint8).numpy()
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_NEAREST))


def _row(caption: str, frames: list[np.ndarray], labels: list[np.ndarray]) -> np.ndarray:
    """Draw frames with masks side by side, with the caption in the first one's corner."""
    import cv2

    images = [overlay(frame, mask) for frame, mask in zip(frames, labels, strict=True)]
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, min(0.5, images[0].shape[1] / 400)
    (width, height), below = cv2.getTextSize(caption, font, scale, 1)
    cv2.rectangle(images[0], (0, 0), (width + 8, height + below + 4), (0, 0, 0), cv2.FILLED)
    cv2.putText(images[0], caption, (4, height + 4), font, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return strip(images, gap=GAP)
