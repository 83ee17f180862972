"""Readers of single frames for a cache: the requested one, and those decoded on the way to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aotlab.media import video
from aotlab.media.video import ImageFrames, VideoFrames

if TYPE_CHECKING:
    import av


@dataclass(frozen=True)
class Decoded:
    """A frame in its decoder's format, half the size of the image."""

    image: Callable[[], np.ndarray]
    """H×W×3 uint8 RGB"""
    nbytes: int


Keep = Callable[[int, Decoded], None]
"""called with each frame decoded on the way"""


class ImageReader:
    """Images of a folder or a stack."""

    def __init__(self, source: ImageFrames) -> None:
        self._source = source

    def read(self, index: int, keep: Keep) -> np.ndarray:
        """Return a frame; raise `InputError` for a broken file or one of another size."""
        image = self._source.read(index)
        keep(index, Decoded(lambda: image, image.nbytes))
        return image


class VideoReader:
    """Frames of a video file, at a position of its own."""

    def __init__(self, source: VideoFrames) -> None:
        self._source, self._reader = source, video.VideoReader(source)

    def read(self, index: int, keep: Keep) -> np.ndarray:
        """Return a frame; raise `InputError` if the file does not decode."""

        def keep_frame(number: int, frame: av.VideoFrame) -> None:
            nbytes = sum(plane.buffer_size for plane in frame.planes)
            keep(number, Decoded(lambda: self._source.to_rgb(frame, number), nbytes))

        return self._reader.read(index, keep_frame)


FrameReader = ImageReader | VideoReader
"""random access to frames, for one thread at a time"""
