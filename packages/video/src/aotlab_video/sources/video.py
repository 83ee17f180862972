"""Video files, sequential and random access, and opening of any source of frames."""

from __future__ import annotations

import logging
import shlex
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aotlab.media.images import require_same_size
from aotlab.utils.digests import InputDigests
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import reading
from aotlab.utils.text import format_count
from aotlab_video.sources import decoding
from aotlab_video.sources.frames import FrameSource, ImageFrames, require_index
from aotlab_video.sources.high_bit_depth import detect_image_kind
from aotlab_video.sources.image_folders import list_images
from aotlab_video.sources.location import locate_video
from aotlab_video.sources.plates import UNKNOWN_TAG, Plate, VideoPlate, lacks_matrix
from aotlab_video.sources.source_options import IMAGE_OPTIONS, MATRICES, SourceOptions, parse_source_options
from aotlab_video.sources.video_index import VideoIndex

if TYPE_CHECKING:
    import av


log = logging.getLogger("aotlab.video")

CACHED_FRAMES_BEFORE_SEEK = 64
"""Number of frames before a requested one that `VideoReader` decodes for its caller's cache."""


def open_frames(source: str | Path, options: SourceOptions | Mapping[str, Any] | None = None) -> FrameSource:
    """Open a source of frames and read the first one.

    >>> frames = open_frames("video.mp4")
    >>> first, last = frames[0], frames[-1]  # H×W×3 uint8 RGB

    Args:
        source: a video file, a folder of images, a TIFF stack, a URL (``rtsp://``, ``http://``, ``file://``, ...),
            a camera (``0`` for the first, or ``/dev/video0``), a named pipe, or ``-`` for standard input.
        options: how its frames are read, also as a dict such as ``{"fps": 25}``; None: the defaults.

    Raises:
        InputError: there is no such source, it is not a video, or its first frame cannot be read; an option is invalid,
            or given for another kind of source; a file is interlaced, or states another matrix.
    """
    options = parse_source_options(options or {})
    # "" would be the working directory
    require(source != "", "empty", subject="source", remedy="give a path, a URL, or a camera")
    location = locate_video(source)
    path, is_stored = Path(location.text), location.kind == "stored"
    remedy = "give a video file or a folder of frames"
    with reading(path, remedy):  # or a name that is too long, or in a folder without permission
        require(not is_stored or path.exists(), "no such file or folder", remedy=remedy)
    has_images = is_stored and (path.is_dir() or (path.is_file() and detect_image_kind(path) == "tiff"))
    for name in options.to_json():
        if not has_images if name in IMAGE_OPTIONS else name == "matrix" and (has_images or not is_stored):
            kinds = "video files" if name == "matrix" else "folders of images and TIFF stacks"
            problem = f"only for {kinds}, not for {path if is_stored else 'a stream'}"
            raise InputError(problem, subject=f"source {name}", remedy="remove it")
    if has_images:
        return ImageFrames(path, options)
    if not is_stored:
        from aotlab_video.sources.streams import open_stream

        return open_stream(location, options)
    frames = VideoFrames(path, options)
    if frames.interlaced and not options.interlaced:
        command = shlex.join(["ffmpeg", "-i", str(path), "-vf", "bwdif", f"{path.stem}_progressive.mp4"])
        remedy = f"run {command}, or read it as it is with --source interlaced=yes"
        raise InputError("interlaced video", subject=path, remedy=remedy)
    return frames


def digest_video(path: Path, digests: InputDigests | None = None) -> dict[str, Any]:
    """Return the size in bytes and the SHA-256 of a video file, a stack, or the names and files of a folder of images.

    ``digests``: those of an earlier run, and of further inputs of a new one. Raises `InputError` if it cannot be read.
    """
    with reading(path, "check its permissions"):
        files = sorted(list_images(path)) if path.is_dir() else None
        size = sum(file.stat().st_size for file in ([path] if files is None else files))
    return {"bytes": size, "sha256": (digests or InputDigests()).digest(path, files)}


class VideoFrames(FrameSource):
    """A video file, decoded as it is read and rotated as players do."""

    path: Path
    lacks_matrix: bool
    """Whether the file has colors in YUV and does not state their matrix."""
    matrix: int
    """FFmpeg's number of the color matrix, as stated, given or assumed."""

    def __init__(self, path: Path, options: SourceOptions | None = None) -> None:
        """Open the file; raise `InputError` if it has no frame, or states another matrix than the options."""
        options = options or SourceOptions()
        self.path, self.name, matrix = path, path.stem, options.matrix
        self._matrix = None if matrix is None else MATRICES[matrix]
        with decoding.open_video(path) as container:
            stream = decoding.find_video_stream(container)
            if ignored := decoding.count_ignored_streams(container):
                kind = "the default one, or else the largest"
                log.warning("%s: %s ignored, %s is read", path, format_count(ignored, "further video stream"), kind)
            self.rate = decoding.read_rate(stream)
            self._rounding = max(1 / self.rate / 100, (stream.time_base or 0) * Fraction(3, 2))
            first = next(decoding.decode(path, container), None)
            if first is None:
                raise InputError(decoding.NO_FRAMES, subject=path)
            unordered = container.format.name in decoding.FORMATS_WITHOUT_ORDER
            self._has_times = not (unordered and stream.codec_context.has_b_frames)
            self.lacks_matrix = lacks_matrix(first)
            if matrix is not None and not self.lacks_matrix and first.colorspace != self._matrix:
                raise InputError(f"{path} states another one", subject=f"matrix {matrix}", remedy="remove it")
            image = decoding.to_rgb(first)
            self.size, self._start = (image.shape[0], image.shape[1]), decoding.read_time(first)
            self.pixel_aspect = decoding.read_pixel_aspect(stream, first)
            context = stream.codec_context
            self.codec, self.interlaced = context.name, first.interlaced_frame
            self.matrix = self.make_plate(first).tags.matrix
            names = [name for name, number in MATRICES.items() if number == self.matrix and self.lacks_matrix]
            self.options = options.replace(matrix=next(iter(names), None), interlaced=self.interlaced)
            tags = (context.color_primaries, context.color_trc)
            self.color_tags = (1, 1) if UNKNOWN_TAG in tags else tags
            self.timecode = decoding.read_timecode(container, self.rate)
        self._times: list[Fraction] = []
        self._index: VideoIndex | None = None
        self._reader = VideoReader(self)

    @property
    def index(self) -> VideoIndex:
        """Times and key frames of the file."""
        if self._index is None:  # `cached_property` of Python 3.11 would make other videos wait
            self._index = VideoIndex(self.path, self._start)
        return self._index

    @property
    def length(self) -> int:
        return self.index.length

    @cached_property
    def has_constant_rate(self) -> bool:
        return all(self.time(index) == index / self.rate for index in range(self.length))

    def time(self, index: int) -> Fraction:
        """Return seconds from the first frame by the file's clock; by the rate if they differ by rounding only."""
        times, by_rate = self._times, index / self.rate
        if not self._has_times:
            return by_rate
        time = times[index] - times[0] if index < len(times) else self.index.time(index, self.rate)
        return by_rate if abs(time - by_rate) <= self._rounding else time

    def __iter__(self) -> Iterator[np.ndarray]:
        return (plate.to_image() for plate in self._decode())

    def _decode(self) -> Iterator[VideoPlate]:
        """Yield all frames; their times and which ones are damaged are then known."""
        times: list[Fraction] = []
        damage: list[int] = []
        self._times, self.damaged_frames = times, damage
        with decoding.open_video(self.path) as container:
            for index, frame in enumerate(decoding.decode(self.path, container)):
                times.append(decoding.next_time(times, decoding.read_time(frame), self.rate))
                if frame.is_corrupt:
                    damage.append(index)
                yield self._make_plate(frame, index)

    def iterate_plates(self, first: int) -> Iterator[tuple[int, Plate]]:
        """Yield index and plate from a frame on, decoded from the key frame before it.

        A damaged file, and one that does not decode exactly from there, is read from its beginning, which also counts
        damaged and missing frames.
        """
        index = first
        if key := self.index.find_key_frame(first) if first and not self.index.damaged else 0:
            with suppress(InputError):
                for number, frame in self.decode_from(key, first):
                    if number > index:
                        break
                    if number == index:
                        yield index, self._make_plate(frame, index)
                        index += 1
                else:
                    if index == self.length:
                        return
        yield from islice(enumerate(self._decode()), index, None)

    def decode_from(self, key: int, needed: int = 0) -> Generator[tuple[int, av.VideoFrame], None, None]:
        """Yield numbers and frames from a key frame on, without those that lack what they refer to.

        Unreferenced frames before ``needed`` are skipped. A frame is known by its time. The first ones are missing
        after an inexact seek, as in MPEG-TS, or without real key frames, as in H.264 with intra refresh.
        """
        index = self.index
        with decoding.open_video(self.path) as container:
            time = index.times[needed] if index.seekable else None
            for position, frame in enumerate(decoding.decode(self.path, container, index.seek_times[key], time)):
                number = index.index_by_time.get(frame.pts) if index.seekable else position
                if number is not None and not (key and frame.is_corrupt):
                    yield number, frame

    def make_plate(self, frame: av.VideoFrame) -> VideoPlate:
        """Return a decoded frame of this file."""
        return VideoPlate(frame, self.codec, self._matrix)

    def _make_plate(self, frame: av.VideoFrame, index: int) -> VideoPlate:
        """Return a frame; raise `InputError` if its size is not that of the first one."""
        plate = self.make_plate(frame)
        require_same_size(plate.size, self.size, f"{self.path}, frame {index}", "the first frame")
        return plate

    def read_plate(self, index: int) -> Plate:
        """Return a frame in any order; a `VideoReader` for each thread avoids seeks of others."""
        if index == 0:  # without indexing the file
            with decoding.open_video(self.path) as container:
                return self.make_plate(next(decoding.decode(self.path, container)))
        return self._reader.read_plate(index)


class VideoReader:
    """Random access to a video file; continues at its position if no key frame is nearer. Thread-safe."""

    def __init__(self, source: VideoFrames) -> None:
        self._source = source
        self.lock = threading.RLock()
        """Held while a frame is read."""
        self._frames, self._position = source.decode_from(0), 0
        """Frames that follow, and the number of the next one."""

    def read(self, index: int, keep: Callable[[int, VideoPlate], None] | None = None) -> np.ndarray:
        """Return a frame, H×W×3 uint8 RGB; ``keep`` as in `read_plate`."""
        return self.read_plate(index, keep).to_image()

    def read_plate(self, index: int, keep: Callable[[int, VideoPlate], None] | None = None) -> VideoPlate:
        """Return a frame.

        Args:
            index: frame number.
            keep: called with number and plate of this frame and of up to `CACHED_FRAMES_BEFORE_SEEK` decoded before it.
        """
        require_index(self._source, index, self._source.length)
        with self.lock:
            try:
                plate = self._find(index, keep)
            except (InputError, OSError) as error:
                self.close()
                raise decoding.decode_error(self._source.path, index, error.__cause__ or error) from error
        source = self._source
        require_same_size(plate.size, source.size, f"{source.path}, frame {index}", "the first frame")
        return plate

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._seek(0)

    def _find(self, index: int, keep: Callable[[int, VideoPlate], None] | None) -> VideoPlate:
        """Return a frame, decoded from the key frame before it, or from ever earlier ones if it is missing there."""
        find_key_frame = self._source.index.find_key_frame
        key, needed = find_key_frame(index), max(0, index - CACHED_FRAMES_BEFORE_SEEK) if keep else index
        if not key <= self._position <= index:
            self._seek(key, needed)
        while True:
            for number, frame in self._frames:
                self._position, plate = number + 1, self._source.make_plate(frame)
                if keep and number >= needed and plate.size == self._source.size:
                    keep(number, plate)
                if number == index:
                    return plate
                if number > index:
                    break
            if key == 0:
                raise OSError("not found after any key frame")
            key = find_key_frame(max(0, 2 * key - index - 1))  # twice as far
            self._seek(key, needed)

    def _seek(self, key: int, needed: int = 0) -> None:
        self._frames.close()
        self._frames, self._position = self._source.decode_from(key, needed), key
