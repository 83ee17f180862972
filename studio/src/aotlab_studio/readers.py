"""Readers of single frames: files are indexed once and decoded from the key frame before the requested one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aotlab.media.image_frames import ImageFrames, of_size
from aotlab.media.video import VideoFrames, upright
from aotlab import InputError

if TYPE_CHECKING:
    import av

KEPT = 64
"""number of frames before the requested one that are cached, for steps back"""


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


class VideoIndex:
    """Times and key frames of a video file, read without decoding."""

    def __init__(self, path: Path) -> None:
        import av

        entries: list[tuple[int | None, bool]] = []
        try:
            with av.open(str(path)) as container:
                self.time_base = Fraction(container.streams.video[0].time_base or 0)
                for packet in container.demux(container.streams.video[0]):
                    if packet.size and not packet.is_discard:
                        entries.append((packet.pts, packet.is_keyframe))
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{path}: cannot be indexed ({error}); repair the file") from error
        times = [time for time, _ in entries if time is not None]
        self.seekable = len(times) == len(set(times)) == len(entries)
        """whether frame times are distinct; otherwise the file can only be read from its beginning"""
        self.times = sorted(times) if self.seekable else []
        self.numbers = {time: number for number, time in enumerate(self.times)}
        keys = {self.numbers[time] for time, key in entries if key and time is not None and self.seekable}
        self.keys = sorted(keys | {0})
        self.length = len(entries)

    def key_before(self, index: int) -> int:
        """Return the last key frame up to this one."""
        return self.keys[bisect_right(self.keys, index) - 1]


class VideoReader:
    """Frames of a video file. Continues at its position if that is nearer than the key frame."""

    def __init__(self, source: VideoFrames, index: VideoIndex) -> None:
        self._path, self._size, self._index = source.path, source.size, index
        self._container: av.container.InputContainer | None = None
        self._frames: Iterator[Any] = iter(())
        self._next = 0  # next frame to decode
        self._wanted = 0  # earlier frames are decoded only if others refer to them

    def read(self, index: int, keep: Keep) -> np.ndarray:
        """Return a frame; raise `InputError` if the file does not decode."""
        import av

        key = self._index.key_before(index)
        self._wanted = max(0, index - KEPT)
        try:
            if self._container is None or not key <= self._next <= index:
                self._seek(key)
            for frame in self._frames:
                number = self._number(frame)
                self._next = number + 1
                if number >= self._wanted:
                    decoded = self._decoded(frame, number)
                    keep(number, decoded)
                    if number >= index:
                        return decoded.image()
        except (av.FFmpegError, OSError) as error:
            self.close()
            raise InputError(f"{self._path}: frame {index} does not decode ({error}); repair it") from error
        self.close()
        raise InputError(f"{self._path}: ends before frame {index}; repair the file")

    def close(self) -> None:
        """Close the file."""
        if self._container is not None:
            self._container.close()
        self._container, self._frames, self._next = None, iter(()), 0

    def _number(self, frame: Any) -> int:
        return self._index.numbers.get(frame.pts, self._next) if self._index.seekable else self._next

    def _seek(self, key: int) -> None:
        """Continue at a key frame."""
        import av

        if self._container is None or not self._index.seekable:
            self.close()
            self._container = av.open(str(self._path))
            self._container.streams.video[0].thread_type = "AUTO"
        if self._index.seekable:
            self._container.seek(self._index.times[key], stream=self._container.streams.video[0])
            self._next = key
        self._frames = self._decode(self._container)

    def _decode(self, container: av.container.InputContainer) -> Iterator[Any]:
        """Yield all frames from here on, without unreferenced ones before the requested frame."""
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            time = packet.pts if self._index.seekable else None
            early = time is not None and time < self._index.times[self._wanted]
            stream.codec_context.skip_frame = "NONREF" if early else "DEFAULT"
            yield from packet.decode()

    def _decoded(self, frame: Any, number: int) -> Decoded:
        name = f"{self._path}, frame {number}"
        return Decoded(
            lambda: of_size(upright(frame), self._size, name),
            sum(plane.buffer_size for plane in frame.planes),
        )


FrameReader = ImageReader | VideoReader
"""random access to frames, for one thread at a time"""
