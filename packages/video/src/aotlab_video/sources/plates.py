"""Plates: frames as their source stores them, at its own depth and colors."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aotlab_video.sources import decoding
from aotlab_video.sources.levels import Levels

if TYPE_CHECKING:
    import av

BT709 = 1
"""FFmpeg's number of a color matrix, primaries and transfer function."""
UNKNOWN_TAG = 2
"""FFmpeg's number of what a file does not state."""
HD_WIDTH, SD_HEIGHT = 1280, 576
"""Columns of high definition, and rows of standard definition, the larger one."""


class ColorTags(NamedTuple):
    """Colors of a video by FFmpeg's numbers, which are those of ITU-T H.273."""

    primaries: int = BT709
    transfer: int = BT709
    matrix: int = BT709


class Plate(ABC):
    """A frame as its source stores it."""

    tags: ColorTags
    """Colors that the source states; those of BT.709 if it states none."""
    is_linear: bool = False
    """Whether its RGB is linear light, as floats."""

    @abstractmethod
    def to_image(self) -> np.ndarray:
        """Return the frame for the network and for overlays: H×W×3 uint8 RGB, 16 bits and more by the levels."""


class ImagePlate(Plate):
    """An image of a folder or TIFF stack.

    Args:
        values: H×W×C with 1 or 3 channels, as stored.
        levels: levels of images with more than 8 bits; None: the values are 8 bits.
        primaries: FFmpeg's number of the color primaries.
    """

    def __init__(self, values: np.ndarray, levels: Levels | None = None, primaries: int = BT709) -> None:
        self.values, self.levels, self.tags = values, levels, ColorTags(primaries)
        self.is_linear = values.dtype.kind == "f" and levels is not None and levels.curve == "linear"

    def to_image(self) -> np.ndarray:
        return _repeat_gray(self.values if self.levels is None else self.levels(self.values))


class VideoPlate(Plate):
    """A frame of a video in its decoder's format, about half the size of the image. Thread-safe.

    A frame without a color matrix has ``matrix``, or by default that of BT.709 if it is larger than standard
    definition, as in players.

    Args:
        frame: the frame.
        codec: FFmpeg's name of the codec.
        matrix: FFmpeg's number of the color matrix, if the frame states none.
    """

    def __init__(self, frame: av.VideoFrame, codec: str = "", matrix: int | None = None) -> None:
        if lacks_matrix(frame):
            is_large = frame.width >= HD_WIDTH or frame.height > SD_HEIGHT
            frame.colorspace = matrix or (BT709 if is_large else UNKNOWN_TAG)
        self.frame, self.codec = frame, codec
        self.lock = threading.Lock()
        """Held while the frame is converted, as PyAV keeps one scaler for each frame."""
        self.tags: ColorTags = ColorTags(frame.color_primaries, frame.color_trc, frame.colorspace)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width as the frame is shown."""
        size = self.frame.height, self.frame.width
        return size[::-1] if decoding.is_turned(self.frame) else size

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return sum(plane.buffer_size for plane in self.frame.planes)

    def to_image(self) -> np.ndarray:
        with self.lock:
            return decoding.to_rgb(self.frame)


def lacks_matrix(frame: av.VideoFrame) -> bool:
    """Return whether a frame has colors in YUV without a stated matrix."""
    return frame.colorspace == UNKNOWN_TAG and not decoding.is_rgb(frame) and not decoding.is_gray(frame)


def _repeat_gray(values: np.ndarray) -> np.ndarray:
    return values if values.shape[2] == 3 else values.repeat(3, axis=2)
