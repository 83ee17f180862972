"""Random access to the frames of videos and live streams, as arrays and as JPEGs, with bounded memory."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from fractions import Fraction
from operator import attrgetter
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from aotlab import InputError, open_frames
from aotlab.sdk import FrameSource, VideoFrames, VideoReader, decode_image
from aotlab_studio.files import write_bytes

Cached = TypeVar("Cached")


class LRUCache(Generic[Cached]):
    """Cache that evicts the least recently used items. Thread-safe.

    Args:
        limit: maximum size in bytes.
        size_of: returns the size of an item in bytes.
    """

    def __init__(self, limit: int, measure_bytes: Callable[[Cached], int]) -> None:
        self.limit, self._size_of = limit, measure_bytes
        self.nbytes = 0
        self._items: OrderedDict[Hashable, Cached] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._items

    def get(self, key: Hashable) -> Cached | None:
        """Return an item; None if it is not cached."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
            return self._items.get(key)

    def put(self, key: Hashable, item: Cached) -> None:
        """Store an item, unless it is larger than the limit."""
        self.drop(key)
        with self._lock:
            if self._size_of(item) > self.limit:
                return
            self._items[key] = item
            self.nbytes += self._size_of(item)
            while self.nbytes > self.limit:
                self.nbytes -= self._size_of(self._items.popitem(last=False)[1])

    def drop(self, key: Hashable) -> None:
        """Remove an item, if it is cached."""
        with self._lock:
            if key in self._items:
                self.nbytes -= self._size_of(self._items.pop(key))


CACHE_BYTES = 512 * 2**20
"""memory for decoded frames and JPEGs"""
MAX_NEAREST_DISTANCE = 12
"""largest distance of a frame shown until the wanted one is decoded"""
JPEG_QUALITY = 90
"""JPEG quality, 0 to 100"""

Levels = str | tuple[float, float] | None
"""levels of images as in `open_frames`"""


class FrameStore(FrameSource):
    """A video with random access. Viewing, tracking and thumbnails have separate readers: none makes another seek.

    Args:
        path: a video file, a folder of images or a TIFF stack.
        cache_bytes: memory for decoded frames and JPEGs.
        levels: as in `open_frames`.

    Raises:
        InputError: as `open_frames`, or the file cannot be indexed.
    """

    def __init__(self, path: Path, *, cache_bytes: int = CACHE_BYTES, levels: Levels = None) -> None:
        self._source = source = open_frames(path, levels=levels)
        self._index = source.index if isinstance(source, VideoFrames) else None
        count = source.length if self._index is None else self._index.length
        if count is None:
            raise InputError(f"{path}: not a video file or a folder of frames; give one of these")
        self.path = path
        self.name, self.named, self.size, self.rate = source.name, source.named, source.size, source.rate
        self.count = self.length = count
        self.variable, self.damaged, self.lost = source.variable, source.damaged, source.lost
        self.levels, self.sound = source.levels, source.sound
        self._readers: dict[str, VideoReader] = {}
        self._lock = threading.Lock()
        # arrays of images, and frames of videos in their decoder's format, about half as large
        self._decoded: LRUCache[Any] = LRUCache(cache_bytes // 2, attrgetter("nbytes"))
        self._jpegs: LRUCache[bytes] = LRUCache(cache_bytes // 2, len)

    def time(self, index: int) -> Fraction:
        """Return seconds from the first frame."""
        return self._source.time(index)

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
        self.require_frame(index)
        found = self._decoded.get(index)
        if found is None and isinstance(self._source, VideoFrames):
            video = self._reader(reader)
            with video.lock:
                found = self._decoded.get(index)  # another thread may have read it meanwhile
                return video.read(index, self._decoded.put) if found is None else _to_rgb(found)
        if found is None:
            self._decoded.put(index, found := self._source.read(index))
        return _to_rgb(found)

    def jpeg(self, index: int, width: int | None = None) -> bytes:
        """Return a frame as JPEG, ``width`` pixels wide if that is smaller; raises `InputError` as `read`."""
        self.require_frame(index)
        width = None if width is None or width >= self.size[1] else max(16, width)
        found = self._jpegs.get((index, width))
        if found is None:
            found = encode_jpeg(self.read(index, "view" if width is None else "small"), width)
            self._jpegs.put((index, width), found)
        return found

    def nearest_jpeg(self, index: int) -> bytes:
        """Return the JPEG of the nearest available frame, or of the key frame before it; raises as `read`."""
        self.require_frame(index)
        for other in sorted(
            range(index - MAX_NEAREST_DISTANCE, index + MAX_NEAREST_DISTANCE + 1),
            key=lambda other: abs(other - index),
        ):
            if (other, None) in self._jpegs or other in self._decoded:
                return self.jpeg(other)
        key = index if self._index is None else self._index.find_key_frame(index)
        return encode_jpeg(self.read(key, "near"), None)

    def prefetch(self, stop: threading.Event, busy: Callable[[], bool]) -> None:
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

    def require_frame(self, index: int) -> None:
        """Raise `InputError` for a frame that does not exist."""
        if not 0 <= index < self.count:
            raise InputError(f"{self.name}: has no frame {index}; give one of 0 to {self.count - 1}")

    def _reader(self, name: str) -> VideoReader:
        assert isinstance(self._source, VideoFrames)
        with self._lock:
            return self._readers.setdefault(name, VideoReader(self._source))


def _to_rgb(frame: Any) -> np.ndarray:
    return frame if isinstance(frame, np.ndarray) else frame.to_rgb()


def encode_jpeg(image: np.ndarray, width: int | None) -> bytes:
    """Return H×W×3 uint8 RGB as JPEG, scaled down to ``width`` if given."""
    import cv2

    if width is not None:
        height = max(1, round(image.shape[0] * width / image.shape[1]))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    done, content = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    assert done
    return content.tobytes()


MAX_KEPT_FRAMES = 250
"""number of frames kept if the stream is not recorded"""


class LiveFrames(FrameSource):
    """Frames of a stream with the interface of `FrameStore`; a thread reads the stream and holds its newest image.

    Args:
        folder: folder of kept frames (JPEG).
        record: keep all frames; otherwise the last `MAX_KEPT_FRAMES`.
    """

    live = True

    def __init__(self, source: FrameSource, folder: Path, *, record: bool) -> None:
        self.path, self.name, self.size = folder, source.name, source.size
        self.rate = Fraction(source.rate)
        self.record = record
        self.count = 0
        """number of frames kept so far"""
        self.damaged = []
        self.problem: str | None = None
        """error message, if the stream ended with an error"""
        self.grown: Callable[[int], None] = lambda count: None
        """called with the new number of frames"""
        self._source = source
        self._newest: np.ndarray | None = None
        self._number = -1  # of the newest image in the stream
        self._ended = False
        self._changed = threading.Condition()
        self._keeping = threading.Lock()
        self._thread = threading.Thread(target=self._read_frames, name="camera", daemon=True)
        self._thread.start()
        self.capture()

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.read(index) for index in range(self.count))

    def require_frame(self, index: int) -> None:
        """Raise `InputError` if a frame is not kept."""
        first = 0 if self.record else max(0, self.count - MAX_KEPT_FRAMES)
        if not first <= index < self.count:
            raise InputError(f"{self.name}: has no frame {index}; give one of {first} to {self.count - 1}")

    def read(self, index: int, reader: str = "view") -> np.ndarray:
        """Return a kept frame, H×W×3 uint8 RGB; raise `InputError` if it is not kept."""
        self.require_frame(index)
        with decode_image(self._frame_path(index)) as image:
            return np.asarray(image)

    def jpeg(self, index: int, width: int | None = None) -> bytes:
        """Return a kept frame as JPEG; raise `InputError` if it is not kept."""
        self.require_frame(index)
        small = width is not None and width < self.size[1]
        return encode_jpeg(self.read(index), width) if small else self._frame_path(index).read_bytes()

    def nearest_jpeg(self, index: int) -> bytes:
        """Return the frame itself."""
        return self.jpeg(index)

    def newest(self, width: int) -> bytes:
        """Return the newest image of the stream as JPEG."""
        image = self._newest
        if image is None:
            raise InputError(f"{self.name}: has no image yet")
        return encode_jpeg(image, min(width, self.size[1]))

    def prefetch(self, stop: threading.Event, busy: Callable[[], bool]) -> None:
        """Do nothing: kept frames are JPEGs."""

    def capture(self) -> int:
        """Keep the newest image; return its frame number. Raises `InputError` without an image or disk space."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._ended, 30)
            image = self._newest
        if image is None:
            raise InputError(self.problem or f"{self.name}: gives no image; check the source")
        return self._keep(image)

    def iter_new_frames(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield frame number and image of each new image, which is kept; drop images to keep up with the stream."""
        seen = self._number
        while True:
            with self._changed:
                while self._number <= seen and not self._ended:
                    self._changed.wait(1)
                if self._number <= seen:
                    return
                seen, image = self._number, self._newest
            assert image is not None
            yield self._keep(image), image

    def _keep(self, image: np.ndarray) -> int:
        with self._keeping:
            index = self.count
            write_bytes(self._frame_path(index), encode_jpeg(image, None))
            self.count += 1
        if not self.record and index >= MAX_KEPT_FRAMES:
            self._frame_path(index - MAX_KEPT_FRAMES).unlink(missing_ok=True)
        self.grown(self.count)
        return index

    def _frame_path(self, index: int) -> Path:
        return self.path / f"{index:06d}.jpg"

    def _read_frames(self) -> None:
        try:
            for number, image in enumerate(self._source):
                with self._changed:
                    self._newest, self._number = image, number
                    self._changed.notify_all()
        except InputError as error:
            self.problem = str(error)
        except Exception as error:  # any error must reach the page
            logging.getLogger(__name__).exception("reading the stream failed")
            self.problem = f"{self.name}: reading failed ({error}); open it again"
        with self._changed:
            self._ended = True
            self._changed.notify_all()


Frames = FrameStore | LiveFrames
"""random access to the frames of a file or a stream; also a `FrameSource`, for outputs"""
