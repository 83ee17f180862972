"""Images of training clips: labels above, predicted masks below."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from aotlab.engine.training.clip_training import ClipBatch
from aotlab.media.overlay import draw_overlay, draw_text
from aotlab.networks.preprocess import IMAGE_MEAN, IMAGE_STD
from aotlab.utils.files import atomic_path

CLIPS, FRAMES, HEIGHT = 2, 6, 256
"""largest number of clips and frames in an image, and largest height of a frame in pixels"""

GAP = 6
"""width of the white gap around frames in pixels"""


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
    tiles = []
    for index in range(min(batch, CLIPS)):
        for caption, masks in (("ground truth", clip.labels), ("predicted", predictions)):
            row = [_tile(clip.images[t, index], masks[t][index], size) for t in shown]
            letters = min(11.0, size[0] / 36)
            draw_text(row[0], caption, (4, int(letters) + 4), letters)
            tiles += [torch.from_numpy(tile).movedim(-1, 0) for tile in row]
    grid = make_grid(tiles, nrow=len(shown), padding=GAP, pad_value=255)
    return grid.movedim(0, -1).numpy()


def save_image(image: np.ndarray, path: Path, *, keep: int) -> None:
    """Write an H×W×3 uint8 image as JPEG, and keep the ``keep`` newest JPEGs of the folder."""
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, quality=90)
    for old in sorted(path.parent.glob("*.jpg"), key=lambda other: other.stat().st_mtime)[:-keep]:
        old.unlink(missing_ok=True)


def _tile(image: Tensor, mask: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Draw a mask over a normalised frame, resized to (width, height)."""
    pixels = image.detach().float().cpu().movedim(0, -1)
    pixels = (pixels * torch.tensor(IMAGE_STD) + torch.tensor(IMAGE_MEAN)) * 255
    frame = cv2.resize(pixels.round().clamp(0, 255).byte().numpy(), size, interpolation=cv2.INTER_AREA)
    labels = cv2.resize(mask.cpu().byte().numpy(), size, interpolation=cv2.INTER_NEAREST)
    return draw_overlay(np.asarray(frame), np.asarray(labels))
