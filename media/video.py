"""Video files, sequential and random access, and opening of any source of frames."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aotlab.media import decoding
from aotlab.media.frames import AudioTrack, FrameSource, ImageFrames, RateOption, require_index
from aotlab.media.high_bit_depth import detect_image_kind
from aotlab.media.images import list_images, require_image_size
from aotlab.media.levels import LevelsOption
from aotlab.media.location import locate_video
from aotlab.media.streams import open_stream
from aotlab.media.video_index import VideoIndex
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import digest_samples, reading

if TYPE_CHECKING:
    import av


CACHED_FRAMES_BEFORE_SEEK = 64
"""Number of frames before a requested one that `VideoReader` decodes for its caller's cache."""


def open_frames(
    source: str | Path, *, levels: LevelsOption = None, timeout: float = 30.0, rate: RateOption = None
) -> FrameSource:
    """Open a source of frames and read the first one.

    Args:
        source: a video file, a folder of images, a TIFF stack, a URL (``rtsp://``, ``http://``, ``file://``, ...),
            a camera (``0`` for the first, or ``/dev/video0``), a named pipe, or ``-`` for standard input.
        levels: values of images shown as black and white: ``LOW,HIGH``, or ``auto`` for the whole video (default: 8-bit
            images unchanged, ``auto`` for others).
        timeout: seconds to wait for the first frame of a stream.
        rate: frames per second of a folder of images or a TIFF stack (default: 24).

    Raises:
        InputError: there is no such source, it is not a video, or its first frame cannot be read; ``levels`` or
            ``rate`` are invalid, or given for a video file or a stream.
    """
    require(source != "", "source: empty; give a path, a URL, or a camera")  # else the working directory
    location = locate_video(source)
    path, is_stored = Path(location.text), location.kind == "stored"
    if is_stored and (path.is_dir() or (path.is_file() and detect_image_kind(path) == "tiff")):
        return ImageFrames(path, levels, rate)
    if is_stored and not path.exists():
        raise InputError(f"{path}: no such file or folder; give a video file or a folder of frames")
    for name, value in (("levels", levels), ("fps", rate)):
        if value is not None:
            subject = path if is_stored else "a stream"
            raise InputError(
                f"{name} {value}: only for folders of images and TIFF stacks, not for {subject}; remove it"
            )
    return VideoFrames(path) if is_stored else open_stream(location, timeout)


def compute_fingerprint(path: Path) -> dict[str, Any]:
    """Return the identity of the content of a video file, a stack or a folder of images, as JSON values.

    ``bytes`` is the size of the file or of all frames, ``samples`` a digest of their names and samples of their
    content. Raises `InputError` if it cannot be read.
    """
    with reading(path, "check its permissions"):
        files = sorted(list_images(path)) if path.is_dir() else [path]
        samples = [(file.name if path.is_dir() else "", digest_samples(file)) for file in files]
        size = sum(file.stat().st_size for file in files)
    return {"bytes": size, "samples": hashlib.sha256(repr(samples).encode()).hexdigest()}


class VideoFrames(FrameSource):
    """A video file, decoded as it is read and rotated as players do."""

    path: Path

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.stem
        with decoding.open_video(path) as container:
            stream = container.streams.video[0]
            self.rate = decoding.read_rate(stream)
            self._rounding = max(1 / self.rate / 100, (stream.time_base or 0) * Fraction(3, 2))
            first = next(decoding.decode(path, container), None)
            if first is None:
                raise InputError(f"{path}: {decoding.NO_FRAMES}")
            unordered = container.format.name in decoding.FORMATS_WITHOUT_ORDER
            self._has_times = not (unordered and stream.codec_context.has_b_frames)
            self.size, self._start = (first[0].shape[0], first[0].shape[1]), first[1]
            self.sound = AudioTrack(path, first[1] or Fraction(0)) if container.streams.audio else None
        self._times: list[Fraction] = []
        self._reader = VideoReader(self)

    @cached_property
    def index(self) -> VideoIndex:
        """Times and key frames of the file."""
        return VideoIndex(self.path, self._start)

    @cached_property
    def length(self) -> int:
        return self.index.length

    def time(self, index: int) -> Fraction:
        """Return seconds from the first frame by the file's clock; by the rate if they differ by rounding only."""
        times, by_rate = self._times, index / self.rate
        if not self._has_times:
            return by_rate
        time = times[index] - times[0] if index < len(times) else self.index.time(index, self.rate)
        return by_rate if abs(time - by_rate) <= self._rounding else time

    def __iter__(self) -> Iterator[np.ndarray]:
        times: list[Fraction] = []
        damage: list[int] = []
        self._times, self.damaged_frames = times, damage
        with decoding.open_video(self.path) as container:
            for index, (image, time, damaged) in enumerate(decoding.decode(self.path, container)):
                times.append(decoding.next_time(times, time, self.rate))
                if damaged:
                    damage.append(index)
                yield self.require_size(image, index)

    def iterate_from(self, first: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield index and image from a frame on, decoded from the key frame before it.

        A file that does not decode exactly from there is read from its beginning, which also counts damaged frames.
        """
        index = first
        key = self.index.find_key_frame(first) if first and self.index.seekable else 0
        if key:
            with suppress(InputError), decoding.open_video(self.path) as container:
                container.seek(self.index.seek_times[key], stream=container.streams.video[0])
                for image, time, damaged in decoding.decode(self.path, container):
                    number = self.index.find(time)
                    if number is not None and number < index:
                        continue
                    if number != index or damaged:
                        break
                    yield index, self.require_size(image, index)
                    index += 1
                else:
                    if index == self.length:
                        return
        yield from super().iterate_from(index)

    def require_size(self, image: np.ndarray, index: int) -> np.ndarray:
        """Return the image of a frame; raise `InputError` if its size is not that of the first frame."""
        return require_image_size(image, self.size, f"{self.path}, frame {index}", "the first frame")

    def read(self, index: int) -> np.ndarray:
        """Return a frame, H×W×3 uint8 RGB, in any order; a `VideoReader` for each thread avoids seeks of others."""
        if index == 0:  # without indexing the file
            with decoding.open_video(self.path) as container:
                return next(decoding.decode(self.path, container))[0]
        return self._reader.read(index)


class RawFrame:
    """A frame of a video in its decoder's format, about half the size of the image. Thread-safe."""

    def __init__(self, frame: av.VideoFrame, index: int, source: VideoFrames) -> None:
        self._frame, self._lock = frame, threading.Lock()  # PyAV keeps one scaler for each frame
        self._index, self._source = index, source
        self.nbytes = sum(plane.buffer_size for plane in frame.planes)
        """Size in memory."""

    def to_rgb(self) -> np.ndarray:
        """Return H×W×3 uint8 RGB, rotated; raises `InputError` for a frame of another size."""
        with self._lock:
            return self._source.require_size(decoding.to_rgb(self._frame), self._index)


class VideoReader:
    """Random access to a video file; continues at its position if no key frame is nearer. Thread-safe.

    A frame is known by its time. If decoding from a key frame does not yield the wanted one, as after an inexact seek
    in MPEG-TS or in H.264 without key frames (intra refresh), it starts at an earlier key frame.
    """

    def __init__(self, source: VideoFrames) -> None:
        self._source = source
        self.lock = threading.RLock()
        """Held while a frame is read."""
        self._decoder: _Decoder | None = None
        self._gap = 0
        """Largest number of frames that were missing after a key frame."""

    def read(self, index: int, keep: Callable[[int, RawFrame], None] | None = None) -> np.ndarray:
        """Return a frame, H×W×3 uint8 RGB.

        Args:
            index: frame number.
            keep: called with number and image of this frame and of up to `CACHED_FRAMES_BEFORE_SEEK` decoded before it.
        """
        import av

        require_index(self._source, index, self._source.length)
        with self.lock:
            try:
                return self._find(index, keep).to_rgb()
            except (av.FFmpegError, OSError) as error:
                self.close()
                raise decoding.decode_error(self._source.path, index, error) from error

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            if self._decoder is not None:
                self._decoder.container.close()
            self._decoder = None

    def _find(self, index: int, keep: Callable[[int, RawFrame], None] | None) -> RawFrame:
        """Return a frame; raise `OSError` if it does not come after any key frame."""
        target = max(0, index - CACHED_FRAMES_BEFORE_SEEK) if keep else index
        for decoder in self._list_decoders(index):
            decoder.target = target
            for number, frame in decoder.frames:
                self._gap = max(self._gap, decoder.gap)
                if keep and number >= target:
                    keep(number, frame)
                if number == index:
                    return frame
                if number > index:
                    break
        raise OSError("not found after any key frame")

    def _list_decoders(self, index: int) -> Iterator[_Decoder]:
        """Yield the decoder that is nearest before a frame, then decoders from ever earlier key frames."""
        find_key_frame, distance = self._source.index.find_key_frame, self._gap
        key = find_key_frame(max(0, index - distance))
        if self._decoder is not None and key <= self._decoder.position <= index:
            yield self._decoder
        yield self._seek(key)
        while key:
            distance = max(2 * distance, index + 1 - key)
            key = find_key_frame(max(0, index - distance))
            yield self._seek(key)

    def _seek(self, key: int) -> _Decoder:
        """Return a decoder from a key frame on; for the first one, the file is opened again."""
        if key == 0:
            self.close()
        if self._decoder is None:
            container = decoding.open_video(self._source.path)
            container.streams.video[0].thread_type = "AUTO"
            # for AV1, `skip_frame` would keep the value that it has when the decoder opens
            container.streams.video[0].codec_context.open(strict=False)
        else:
            container = self._decoder.container
        self._decoder = _Decoder(self._source, container, key)
        return self._decoder


class _Decoder:
    """Decoder of an open video file from a key frame on."""

    def __init__(self, source: VideoFrames, container: av.container.InputContainer, key: int) -> None:
        self._source, self._key, self.container = source, key, container
        self.frames = self._decode()
        """Numbers and frames, without unreferenced ones before `target` and those that lack what they refer to."""
        self.target = key
        self.position = key
        """Number of the next frame."""
        self.gap = 0
        """Number of frames that were missing after the key frame."""
        if key:
            container.seek(source.index.seek_times[key], stream=container.streams.video[0])

    def _decode(self) -> Iterator[tuple[int, RawFrame]]:
        index, context = self._source.index, self.container.streams.video[0].codec_context
        for packet in decoding.demux(self.container):
            early = index.seekable and packet.pts is not None and packet.pts < index.times[self.target]
            context.skip_frame = "NONREF" if early else "DEFAULT"
            for frame in packet.decode():
                number = index.index_by_time.get(frame.pts) if index.seekable else self.position
                if number is None or (frame.is_corrupt and self._key):
                    continue
                if self.position == self._key:
                    self.gap = number - self._key
                self.position = number + 1
                yield number, RawFrame(frame, number, self._source)
