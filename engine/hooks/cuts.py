"""Detection of cuts: the first frame after a cut reads zeros instead of short-term memory.

The two limits were set by hand; the sensitivity of detection to them was not measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from aotlab.engine.hooks.hook import Hook

if TYPE_CHECKING:
    from aotlab.engine.tracking.prediction import Draft, Prediction

SIZE = (96, 54)
"""Width and height of the thumbnails that are compared."""
MAX_HISTOGRAM_OVERLAP = 0.55
"""Largest intersection of both color histograms (8 bins per channel) at a cut."""
MAX_CORRELATION = 0.5
"""Largest correlation of both thumbnails at a cut."""


class CutDetection(Hook):
    """Compares each frame with the last stored one."""

    NOTE = "thumbnail"
    """Name of its note: the frame's thumbnail."""
    thumbnail: np.ndarray | None
    """Thumbnail of the last stored frame; None before it."""

    def __init__(self) -> None:
        self.reset()

    def before(self, frame: np.ndarray, notes: dict[str, Any]) -> bool:
        """Return False if a frame H×W×3 uint8 follows a cut."""
        notes[self.NOTE] = thumbnail = make_thumbnail(frame)
        return self.thumbnail is None or not is_cut(self.thumbnail, thumbnail)

    def stored(self, draft: Draft, prediction: Prediction, mask: np.ndarray | None) -> None:
        """Keep the frame's thumbnail."""
        self.thumbnail = draft.notes[self.NOTE]

    def reset(self) -> None:
        """Forget the thumbnail."""
        self.thumbnail = None

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the thumbnail."""
        return {"thumbnail": None if self.thumbnail is None else torch.from_numpy(self.thumbnail.copy())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a thumbnail."""
        self.thumbnail = None if state["thumbnail"] is None else state["thumbnail"].numpy().copy()


def is_cut(previous: np.ndarray, thumbnail: np.ndarray) -> bool:
    """Compare the thumbnails of the last stored frame and a new one: a cut changes both the colors and their layout."""
    overlap = float(np.minimum(color_histogram(previous), color_histogram(thumbnail)).sum())
    return overlap < MAX_HISTOGRAM_OVERLAP and correlate(previous, thumbnail) < MAX_CORRELATION


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
