"""Cameras and streams as growing videos: taken and tracked frames are kept."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from aotlab import FrameSource, InputError
from aotlab_studio.files import write_bytes
from aotlab_studio.frames import FrameStore, encode_jpeg

KEPT = 250
"""number of frames kept if the stream is not recorded"""


class LiveFrames(FrameSource):
    """Frames of a stream with the interface of `FrameStore`; a thread reads the stream and holds its newest image.

    Args:
        folder: folder of kept frames (JPEG).
        record: keep all frames; otherwise the last `KEPT`.
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
        self.take()

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.read(index) for index in range(self.count))

    def check(self, index: int) -> None:
        """Raise `InputError` if a frame is not kept."""
        first = 0 if self.record else max(0, self.count - KEPT)
        if not first <= index < self.count:
            raise InputError(f"{self.name}: has no frame {index}; give one of {first} to {self.count - 1}")

    def read(self, index: int, reader: str = "view") -> np.ndarray:
        """Return a kept frame, H×W×3 uint8 RGB; raise `InputError` if it is not kept."""
        self.check(index)
        with Image.open(self._file(index)) as image:
            return np.asarray(image)

    def jpeg(self, index: int, width: int | None = None) -> bytes:
        """Return a kept frame as JPEG; raise `InputError` if it is not kept."""
        self.check(index)
        small = width is not None and width < self.size[1]
        return encode_jpeg(self.read(index), width) if small else self._file(index).read_bytes()

    def near_jpeg(self, index: int) -> bytes:
        """Return the frame itself."""
        return self.jpeg(index)

    def newest(self, width: int) -> bytes:
        """Return the newest image of the stream as JPEG."""
        image = self._newest
        if image is None:
            raise InputError(f"{self.name}: has no image yet")
        return encode_jpeg(image, min(width, self.size[1]))

    def warm(self, stop: threading.Event, busy: Callable[[], bool]) -> None:
        """Do nothing: kept frames are JPEGs."""

    def take(self) -> int:
        """Keep the newest image; return its frame number. Raises `InputError` without an image or disk space."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._ended, 30)
            image = self._newest
        if image is None:
            raise InputError(self.problem or f"{self.name}: gives no image; check the source")
        return self._keep(image)

    def follow(self) -> Iterator[tuple[int, np.ndarray]]:
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
            write_bytes(self._file(index), encode_jpeg(image, None))
            self.count += 1
        if not self.record and index >= KEPT:
            self._file(index - KEPT).unlink(missing_ok=True)
        self.grown(self.count)
        return index

    def _file(self, index: int) -> Path:
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
