"""Detection of cuts between frames.

The two limits were set by hand; the sensitivity of detection to them was not measured.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

SIZE = (96, 54)
"""width and height of the thumbnails that are compared"""
MAX_HISTOGRAM_OVERLAP = 0.55
"""largest intersection of both color histograms (8 bins per channel) at a cut"""
MAX_CORRELATION = 0.5
"""largest correlation of both thumbnails at a cut"""


class CutDetector:
    """Compares each frame with the previous one: a cut changes both the colors and their layout."""

    def __init__(self) -> None:
        self.previous: np.ndarray | None = None
        """thumbnail of the last stored frame, 54×96×3 uint8"""

    def is_cut(self, thumbnail: np.ndarray) -> bool:
        """Return whether a frame follows a cut, from its `make_thumbnail`."""
        if self.previous is None:
            return False
        shared = float(np.minimum(color_histogram(self.previous), color_histogram(thumbnail)).sum())
        return shared < MAX_HISTOGRAM_OVERLAP and correlate(self.previous, thumbnail) < MAX_CORRELATION

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the thumbnail."""
        return {"previous": None if self.previous is None else torch.from_numpy(self.previous.copy())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a thumbnail."""
        self.previous = None if state["previous"] is None else state["previous"].numpy().copy()


def make_thumbnail(frame: np.ndarray) -> np.ndarray:
    """Scale a frame H×W×3 uint8 to 54×96×3 uint8."""
    return np.asarray(Image.fromarray(frame).resize(SIZE, Image.Resampling.BOX, reducing_gap=1.0))


def color_histogram(image: np.ndarray) -> np.ndarray:
    """Return the shares of 8×8×8 colors in an image H×W×3 uint8, 512 floats."""
    red, green, blue = np.moveaxis(image.astype(np.int32) >> 5, 2, 0)
    return np.bincount((64 * red + 8 * green + blue).ravel(), minlength=512) / red.size


def correlate(image: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of two images 54×96×3 uint8 in blocks of 6×6 pixels; 0 if one is uniform."""
    blocks = [x.reshape(9, 6, 16, 6, 3).mean((1, 3)) for x in (image, other)]  # 9×16×3
    first, second = (x - x.mean((0, 1)) for x in blocks)
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / scale if scale else 0.0
