"""Thumbnail of a tracked video: first, least confident and last frame with overlays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from aotlab.engine.video.tracked import Output, Tracked
from aotlab.masks.overlay import overlay, strip
from aotlab.media.video import FrameSource
from aotlab.utils.files import atomic_path

HEIGHT = 180
"""height of the thumbnail in pixels"""


class Thumbnail(Output):
    """``thumbnail.jpg``, written at the end."""

    def __init__(self, path: Path, source: FrameSource) -> None:
        super().__init__(path)
        self._images: dict[str, np.ndarray] = {}
        self._lowest = float("inf")

    def write(self, name: str, tracked: Tracked) -> None:
        """Add one frame."""
        confidence = min(tracked.prediction.confidence.values(), default=1.0)
        image = small_overlay(tracked.frame, tracked.labels)
        if not self._images:
            self._images["first"] = image
            return
        if confidence < self._lowest:
            self._lowest, self._images["worst"] = confidence, image
        self._images["last"] = image

    def finish(self) -> None:
        """Write the file, unless there were no frames."""
        images = [self._images[key] for key in ("first", "worst", "last") if key in self._images]
        if images:
            with atomic_path(self.path) as temporary:
                Image.fromarray(strip(images)).save(temporary, quality=85)


def small_overlay(frame: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Draw H×W object ids over a frame (H×W×3 uint8 RGB), scaled to `HEIGHT`."""
    height, width = labels.shape
    size = (max(1, round(width * HEIGHT / height)), HEIGHT)
    image = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    ids = np.asarray(Image.fromarray(labels.astype(np.int32)).resize(size, Image.Resampling.NEAREST))
    return overlay(image, ids)
