"""Random access to the frames of a video, as arrays and as JPEGs, with bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from operator import attrgetter
from pathlib import Path

import numpy as np

from aotlab.annotation.cache import RecentCache
from aotlab.annotation.readers import Decoded, FrameReader, ImageReader, VideoReader
from aotlab.media.images import LevelsOption
from aotlab.media.video import FrameSource, ImageFrames, VideoFrames, VideoIndex, open_frames
from aotlab.utils.errors import InputError

CACHE_BYTES = 512 * 2**20
"""memory for decoded frames and JPEGs"""

NEAR = 12
"""largest distance of a frame shown until the wanted one is decoded"""

QUALITY = 90
"""JPEG quality, 0 to 100"""


class FrameStore(FrameSource):
    """A video with random access. Viewing, tracking and thumbnails have separate readers: none makes another seek.

    Args:
        path: a video file, a folder of images or a TIFF stack.
        cache_bytes: memory for decoded frames and JPEGs.
        levels: as of `open_frames`.

    Raises:
        InputError: as `open_frames`, or the file cannot be indexed.
    """

    def __init__(self, path: Path, *, cache_bytes: int = CACHE_BYTES, levels: LevelsOption = None) -> None:
        self._source = source = open_frames(path, levels=levels)
        self.path = path
        self.name, self.size, self.rate = source.name, source.size, source.rate
        self._make: Callable[[], FrameReader]
        if isinstance(source, VideoFrames):
            self._index: VideoIndex | None = source.index
            self._make, self.count = partial(VideoReader, source), source.index.length
        elif isinstance(source, ImageFrames):
            self._index, self._make, self.count = None, partial(ImageReader, source), source.length
        else:
            raise InputError(f"{path}: not a video file or a folder of frames; give one of these")
        self._readers: dict[str, tuple[threading.Lock, FrameReader]] = {}
        self._lock = threading.Lock()
        self._images: RecentCache[Decoded] = RecentCache(cache_bytes // 2, attrgetter("nbytes"))
        self._jpegs: RecentCache[bytes] = RecentCache(cache_bytes // 2, len)
        self.length = self.count
        self.variable, self.damaged, self.lost = source.variable, source.damaged, source.lost
        self.levels, self.sound = source.levels, source.sound

    def time(self, index: int) -> Fraction:
        """Return seconds from the first frame."""
        if self._index is None or not (self.variable and self._index.seekable):
            return super().time(index)
        return self._index.time(index, self.rate)

    def stem(self, index: int) -> str:
        """Return the file name of a frame, without suffix."""
        return self._source.stem(index)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.read(index, "iterate") for index in range(self.count))

    def read(self, index: int, reader: str = "view") -> np.ndarray:
        """Return a frame, H×W×3 uint8 RGB; do not change it.

        Args:
            index: frame number.
            reader: name of the reader; each has its own position in the file.

        Raises:
            InputError: no such frame, or it cannot be read.
        """
        self.check(index)
        found = self._images.get(index)
        if found is not None:
            return found.image()
        lock, video = self._reader(reader)
        with lock:
            found = self._images.get(index)
            return video.read(index, self._images.put) if found is None else found.image()

    def jpeg(self, index: int, width: int | None = None) -> bytes:
        """Return a frame as JPEG, ``width`` pixels wide if that is smaller; raises `InputError` as `read`."""
        self.check(index)
        width = None if width is None or width >= self.size[1] else max(16, width)
        found = self._jpegs.get((index, width))
        if found is None:
            found = encode_jpeg(self.read(index, "view" if width is None else "small"), width)
            self._jpegs.put((index, width), found)
        return found

    def near_jpeg(self, index: int) -> bytes:
        """Return the JPEG of the nearest available frame, or of the key frame before it; raises as `read`."""
        self.check(index)
        for other in sorted(range(index - NEAR, index + NEAR + 1), key=lambda other: abs(other - index)):
            if (other, None) in self._jpegs or other in self._images:
                return self.jpeg(other)
        key = index if self._index is None else self._index.key_before(index)
        return encode_jpeg(self.read(key, "near"), None)

    def warm(self, stop: threading.Event, busy: Callable[[], bool]) -> None:
        """Fill the cache with JPEGs of the first frames; run in a thread.

        Args:
            stop: stops it.
            busy: whether to wait, because something else needs the processor.
        """
        for index in range(self.count):
            while busy() and not stop.is_set():
                stop.wait(0.2)
            if stop.is_set() or self._jpegs.nbytes > 0.9 * self._jpegs.limit:
                return
            if (index, None) not in self._jpegs:
                self._jpegs.put((index, None), encode_jpeg(self.read(index, "warm"), None))

    def check(self, index: int) -> None:
        """Raise `InputError` for a frame that does not exist."""
        if not 0 <= index < self.count:
            raise InputError(f"{self.name}: has no frame {index}; give one of 0 to {self.count - 1}")

    def _reader(self, name: str) -> tuple[threading.Lock, FrameReader]:
        with self._lock:
            if name not in self._readers:
                self._readers[name] = (threading.Lock(), self._make())
            return self._readers[name]


def encode_jpeg(image: np.ndarray, width: int | None) -> bytes:
    """Return H×W×3 uint8 RGB as JPEG, scaled down to ``width`` if given."""
    import cv2

    if width is not None:
        height = max(1, round(image.shape[0] * width / image.shape[1]))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    done, content = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    assert done
    return content.tobytes()
