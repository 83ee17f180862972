"""Random access to the frames of a video, as arrays and as JPEGs, with bounded memory."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

import aotlab_video
from aotlab import InputError
from aotlab_studio.utils.cache import LRUCache
from aotlab_video import SourceOptions, open_frames

CACHE_BYTES = 512 * 2**20
MAX_NEAREST_DISTANCE = 12
"""Largest distance of a frame that is shown in place of one that is not decoded yet."""
JPEG_QUALITY = 90


class FrameStore:
    """Frames of a video file, a folder of images or a TIFF stack; other paths raise `InputError`.

    Each named reader keeps its own position in a video file, as seeking takes time.
    """

    def __init__(self, path: Path, options: SourceOptions | None = None, *, cache_bytes: int = CACHE_BYTES) -> None:
        """``options``: how the frames are read; interlaced ones are read as they are."""
        options = (options or SourceOptions()).model_copy(update={"interlaced": True})
        self.path, self.source = path, open_frames(path, options)
        if self.source.length is None:
            raise InputError(f"{path}: not a video file or a folder of frames; give one of these")
        self.name, self.size, self.count = self.source.name, self.source.size, self.source.length
        self._readers: dict[str, aotlab_video.VideoReader] = {}
        # arrays of images, and frames of videos in their decoder's format, about half as large
        self._decoded: LRUCache[Any] = LRUCache(cache_bytes // 2, attrgetter("nbytes"))
        self._jpegs: LRUCache[bytes] = LRUCache(cache_bytes // 2, len)

    def read(self, index: int, reader: str = "view") -> np.ndarray:
        """Return a frame, H×W×3 uint8 RGB, read-only; raise `InputError` if there is no such frame."""
        require_frame(index, self.count)
        frame = self._decoded.get(index)
        if frame is None and isinstance(self.source, aotlab_video.VideoFrames):
            video = self._readers.setdefault(reader, aotlab_video.VideoReader(self.source))
            with video.lock:
                if (frame := self._decoded.get(index)) is None:  # another thread may have read it meanwhile
                    return video.read(index, self._decoded.put)
        elif frame is None:
            self._decoded.put(index, frame := self.source.read(index))
        return frame if isinstance(frame, np.ndarray) else np.asarray(frame.to_image())

    def read_jpeg(self, index: int, width: int | None = None) -> bytes:
        """Return a frame as JPEG, at most ``width`` pixels wide; raise `InputError` if there is no such frame."""
        width = None if width is None or width >= self.size[1] else max(16, width)
        reader = "view" if width is None else "small"
        return self._jpegs.get_or_compute((index, width), lambda: encode_jpeg(self.read(index, reader), width))

    def read_nearest_jpeg(self, index: int) -> bytes:
        """Return the JPEG of the nearest decoded frame; if none is near, of the key frame before it."""
        require_frame(index, self.count)
        near = range(index - MAX_NEAREST_DISTANCE, index + MAX_NEAREST_DISTANCE + 1)
        for other in sorted(near, key=lambda other: abs(other - index)):
            if self._jpegs.get((other, None)) is not None or self._decoded.get(other) is not None:
                return self.read_jpeg(other)
        if isinstance(self.source, aotlab_video.VideoFrames):
            index = self.source.index.find_key_frame(index)
        return encode_jpeg(self.read(index, "near"), None)


def require_frame(index: int, count: int) -> None:
    """Raise `InputError` if a video of ``count`` frames has no such frame."""
    if not 0 <= index < count:
        raise InputError(f"frame {index}: no such frame; give one from 0 to {count - 1}")


def encode_jpeg(image: np.ndarray, width: int | None) -> bytes:
    """Return H×W×3 uint8 RGB as JPEG, scaled down to ``width`` if given."""
    import cv2

    if width is not None:
        height = max(1, round(image.shape[0] * width / image.shape[1]))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    success, content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert success
    return content.tobytes()
