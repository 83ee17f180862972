"""The frames of a video in any order, at bounded memory, as arrays and as JPEGs for the page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from aotlab.annotation.cache import RecentCache
from aotlab.annotation.readers import Decoded, FrameReader, ImageReader, VideoIndex, VideoReader
from aotlab.media.image_frames import ImageFrames, LevelsOption
from aotlab.media.video import FrameSource, VideoFrames, open_frames
from aotlab.utils.errors import InputError

CACHE_BYTES = 512 * 2**20
"""What decoded frames and JPEGs may take together."""

NEAR = 12
"""Frames on either side that may stand in for one that is still being decoded."""

QUALITY = 90
"""Of the JPEGs that the page shows, 0 to 100."""


class FrameAccess(FrameSource, Protocol):
    """Frames by number, in any order; also a `FrameSource`, so that outputs can be written for it."""

    path: Path
    """the video"""
    count: int
    """frames that there are now"""

    def read(self, index: int, reader: str = "view") -> np.ndarray:
        """As `FrameStore.read`."""

    def jpeg(self, index: int, width: int | None = None) -> bytes:
        """As `FrameStore.jpeg`."""

    def near_jpeg(self, index: int) -> bytes:
        """As `FrameStore.near_jpeg`."""

    def warm(self, stop: threading.Event, busy: Callable[[], bool]) -> None:
        """As `FrameStore.warm`."""

    def check(self, index: int) -> None:
        """As `FrameStore.check`."""


class FrameStore:
    """A video with random access; also a `FrameSource`, so that outputs can be written for it.

    Viewing and tracking each have a reader of their own, so that neither makes the other seek.

    Args:
        path: a video file, a folder of images or a TIFF stack.
        cache_bytes: what decoded frames and JPEGs may take.
        levels: as of `open_frames`.

    Raises:
        InputError: as `open_frames`, or the file cannot be indexed.
    """

    live = False

    def __init__(self, path: Path, *, cache_bytes: int = CACHE_BYTES, levels: LevelsOption = None) -> None:
        self._source = open_frames(path, levels=levels)
        self.path = Path(path)
        self.name, self.size, self.rate = self._source.name, self._source.size, self._source.rate
        self._make = _reader_maker(self._source)
        self._readers: dict[str, tuple[threading.Lock, FrameReader]] = {}
        self._lock = threading.Lock()
        self._images: RecentCache[Decoded] = RecentCache(cache_bytes // 2)
        self._jpegs: RecentCache[bytes] = RecentCache(cache_bytes // 2)
        self.count = self._reader("view")[1].length
        self.length: int | None = self.count
        self.variable = self._source.variable
        self.damaged, self.lost = self._source.damaged, self._source.lost
        self.levels, self.sound = self._source.levels, self._source.sound

    @property
    def nbytes(self) -> int:
        """What the caches hold."""
        return self._images.nbytes + self._jpegs.nbytes

    def time(self, index: int) -> Fraction:
        """Seconds from the first frame."""
        return self._reader("view")[1].time(index) if self.variable else index / self.rate

    def stem(self, index: int) -> str:
        """File name without suffix for what belongs to a frame."""
        return self._source.stem(index)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield all frames in order."""
        return (self.read(index, "iterate") for index in range(self.count))

    def read(self, index: int, reader: str = "view") -> np.ndarray:
        """A frame, H×W×3 uint8 RGB; not to be changed.

        Args:
            index: its number.
            reader: name of who reads; each name has a position of its own in the file.

        Raises:
            InputError: there is no such frame, or it cannot be read.
        """
        self.check(index)
        found = self._images.get(index)
        if found is not None:
            return found.image()
        lock, video = self._reader(reader)
        with lock:
            found = self._images.get(index)
            return video.read(index, self._keep) if found is None else found.image()

    def jpeg(self, index: int, width: int | None = None) -> bytes:
        """A frame as a JPEG, for the page; ``width`` pixels wide if that is less than its own.

        Raises:
            InputError: as `read`.
        """
        self.check(index)
        width = None if width is None or width >= self.size[1] else max(16, width)
        found = self._jpegs.get((index, width))
        if found is None:
            found = encode_jpeg(self.read(index), width)
            self._jpegs.put((index, width), found, len(found))
        return found

    def near_jpeg(self, index: int) -> bytes:
        """A frame's JPEG where that is at hand; else that of one near it, or of the key frame before it.

        Raises:
            InputError: as `read`.
        """
        self.check(index)
        for other in sorted(range(index - NEAR, index + NEAR + 1), key=lambda other: abs(other - index)):
            if (other, None) in self._jpegs or other in self._images:
                return self.jpeg(other)
        key = self._reader("near")[1].key_before(index)
        return encode_jpeg(self.read(key, "near"), None)

    def warm(self, stop: threading.Event, busy: Callable[[], bool]) -> None:
        """Fill the cache of JPEGs with the first frames of the video, until it is full; for a thread.

        Args:
            stop: ends it.
            busy: whether something else needs the processor; it waits as long.
        """
        for index in range(self.count):
            while busy() and not stop.is_set():
                stop.wait(0.2)
            if stop.is_set() or self._jpegs.nbytes > 0.9 * self._jpegs.limit:
                return
            if (index, None) not in self._jpegs:
                image = self.read(index, "warm")
                content = encode_jpeg(image, None)
                self._jpegs.put((index, None), content, len(content))

    def check(self, index: int) -> None:
        """Raise `InputError` where there is no frame of this number."""
        if not 0 <= index < self.count:
            raise InputError(f"{self.name}: has no frame {index}; give one of 0 to {self.count - 1}")

    def _keep(self, index: int, decoded: Decoded) -> None:
        self._images.put(index, decoded, decoded.nbytes)

    def _reader(self, name: str) -> tuple[threading.Lock, FrameReader]:
        with self._lock:
            if name not in self._readers:
                self._readers[name] = (threading.Lock(), self._make())
            return self._readers[name]


def encode_jpeg(image: np.ndarray, width: int | None) -> bytes:
    """H×W×3 uint8 RGB as a JPEG, scaled down to ``width`` where that is given."""
    import cv2

    if width is not None:
        height = max(1, round(image.shape[0] * width / image.shape[1]))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    done, content = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    assert done
    return content.tobytes()


def _reader_maker(source: FrameSource) -> Callable[[], FrameReader]:
    """What makes readers of a source's frames; a file is indexed once for all of them."""
    if isinstance(source, ImageFrames):
        return lambda: ImageReader(source)
    assert isinstance(source, VideoFrames)
    index = VideoIndex(source.path)
    return lambda: VideoReader(source, index)
