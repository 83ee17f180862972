"""Frames of video files, streams, folders of images and TIFF stacks."""

from __future__ import annotations

import re
import shutil
import stat
import sys
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice, pairwise
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from PIL import Image

from aotlab.media.images import (
    Levels,
    LevelsOption,
    TiffStack,
    detect_image_kind,
    estimate_levels,
    list_images,
    parse_levels,
    read_raw_image,
)
from aotlab.media.truncation import count_missing_bytes
from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path, file_mode, is_file, is_folder, real_path
from aotlab.utils.places import ADDRESS, CAMERA_NUMBER

if TYPE_CHECKING:
    import av

IMAGE_RATE = Fraction(24)
"""frame rate of image sequences, as in DAVIS and most films"""
DEFAULT_RATE = Fraction(25)
"""frame rate of videos without one (single frames, raw streams), as in FFmpeg"""
MAX_STREAM_RATE = 250
"""largest plausible frame rate of a stream; larger ones are clock ticks"""
CAMERA_POLL_SECONDS = 0.005
"""interval in seconds at which a camera without a new frame is asked again"""
NUM_PEEKED_PACKETS = 200
"""number of packets to inspect for a variable frame rate"""
NUM_KEPT_FRAMES = 64
"""number of frames before a requested one that `VideoReader` decodes for its caller's cache"""
LIVE_PROTOCOLS = ("rtsp", "rtsps", "rtp", "udp", "rtmp", "srt")
NOT_VIDEO = re.compile(r"tty|image2|.*_pipe")
"""FFmpeg's readers of text files and single images"""
PLAYLISTS = frozenset({"concat", "dash", "hls", "imf", "sdp", "webm_dash_manifest"})
"""FFmpeg's readers of files that name other files"""
WITHOUT_LENGTH = ("mpeg", "mpegts")
"""FFmpeg's readers of files whose header states no length, so that only a last frame in part shows a cut"""
NO_FRAMES = "holds no frames; give a video with at least one frame"


@dataclass(frozen=True)
class Sound:
    """Location of the sound of frames."""

    path: Path
    """file with the sound, of which the first stream is used"""
    start: Fraction
    """time of the first frame by the file's clock, in seconds"""


class FrameSource(Protocol):
    """Frames in order; every iteration starts at the first one and holds one frame at a time.

    Iterating yields H×W×3 uint8 RGB, and raises `InputError` naming the first frame that cannot be read.
    """

    name: str
    """file or folder name without suffix"""
    size: tuple[int, int]
    """height and width of every frame, as shown (after rotation)"""
    rate: Fraction
    """frames per second"""
    length: int | None = None
    """number of frames; None if unknown before all are read"""
    variable: bool = False
    """whether frame times are not multiples of 1 / rate"""
    named: bool = False
    """whether frames have names, not only numbers"""
    live: bool = False
    """whether frames are live and lost if not read in time"""
    damaged: list[int]
    """frames read so far that were damaged and filled in by the decoder from their neighbours"""
    lost: int = 0
    """number of packets read so far that did not decode and were skipped"""
    levels: Levels | None = None
    """black and white levels of images with more than 8 bits; None: frames are shown as stored"""
    sound: Sound | None = None
    """source of the sound; None without sound"""

    def time(self, index: int) -> Fraction:
        """Return seconds from the first frame to one that has been read."""
        return index / self.rate

    def stem(self, index: int) -> str:
        """Return the stem of output files of a frame: its number with at least five digits, or the image's name."""
        return f"{index:05d}"

    def read(self, index: int) -> np.ndarray:
        """Return a frame, H×W×3 uint8 RGB, in any order; thread-safe.

        Raises:
            InputError: no such frame, it cannot be read, or the source is a stream.
        """
        raise InputError(f"{self.name}: frames of a stream are read in order only; store it in a file first")

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames."""


def open_frames(source: str | Path, *, levels: LevelsOption = None, timeout: float = 30.0) -> FrameSource:
    """Open a source of frames and read the first one.

    Args:
        source: a video file, a folder of images, a TIFF stack, an address (``rtsp://``, ``http://``, ...), a camera
            (``0`` for the first, or ``/dev/video0``), a named pipe, or ``-`` for standard input.
        levels: values of images shown as black and white: ``LOW,HIGH``, or ``auto`` for the whole video (default: 8-bit
            images unchanged, ``auto`` for others).
        timeout: seconds to wait for the first frame of a stream.

    Raises:
        InputError: no such source, not a video, no frames, or the first frame cannot be read; ``levels`` are invalid,
            or given for a video file or a stream.
    """
    path, address = Path(source), ADDRESS.fullmatch(str(source))
    if address and address[1].lower() == "file":
        raise InputError(f"{source}: file:// addresses are not supported; give the path")
    mode = 0 if address else file_mode(path)
    camera = not mode and CAMERA_NUMBER.fullmatch(str(source))
    if address or camera or str(source) == "-" or stat.S_ISCHR(mode) or stat.S_ISFIFO(mode):
        _require_no_levels(levels, "a stream")
        return _open_stream(str(source), timeout)
    if is_folder(path) or (is_file(path) and detect_image_kind(path) == "tiff"):
        return ImageFrames(path, levels)
    if not is_file(path):
        raise InputError(f"{path}: no such file or folder; give a video file or a folder of frames")
    _require_no_levels(levels, str(path))
    return VideoFrames(path)


class ImageFrames(FrameSource):
    """Images of a folder, sorted by name, or of a TIFF stack; outputs are named like the images of a folder.

    Args:
        path: a folder or a TIFF file.
        levels: values shown as black and white.

    Raises:
        InputError: no images, the first one cannot be read, or levels are invalid.
    """

    length: int

    def __init__(self, path: Path, levels: LevelsOption = None) -> None:
        if is_folder(path):
            self._paths, self._stack = list_images(path), None
            self.name, self.length = real_path(path).name, len(self._paths)
            linear = detect_image_kind(self._paths[0]) == "exr"
        else:
            self._paths, self._stack = [], TiffStack(path)
            self.name, self.length, linear = path.stem, self._stack.count, False
        first = self._read_values(0)
        if first.dtype.kind not in "uif":
            raise InputError(f"{self._title(0)}: holds values of {first.dtype}; give integers or floats")
        self._dtype, self.size = first.dtype, (first.shape[0], first.shape[1])
        self.rate, self.damaged = IMAGE_RATE, []
        self.named, limits = bool(self._paths), parse_levels(levels)
        if limits is not None:
            self.levels = Levels(*limits, linear=linear)
        elif levels is not None or first.dtype != np.uint8:
            low, high = estimate_levels(self._read_or_skip, self.length)
            self.levels = Levels(low, high, linear=linear, estimated=True)

    def stem(self, index: int) -> str:
        """Return the stem of the image in a folder, the frame number in a stack."""
        return self._paths[index].stem if self._paths else super().stem(index)

    def file(self, index: int) -> Path | None:
        """Return the image file of a frame; None in a stack."""
        return self._paths[index] if self._paths else None

    def read(self, index: int) -> np.ndarray:
        """Return a frame. Raises `InputError` if it is missing, broken or of another size or type."""
        _require_index(self, index, self.length)
        values, title = self._read_values(index), self._title(index)
        if values.dtype != self._dtype and not values.dtype.kind == self._dtype.kind == "f":
            raise InputError(
                f"{title}: has values of {values.dtype}, but the first frame of {self._dtype}; give frames of one kind"
            )
        _require_size(values, self.size, title)
        image = values if self.levels is None else self.levels(values)
        return image if image.shape[2] == 3 else image.repeat(3, axis=2)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames in order; raises as `read`."""
        return map(self.read, range(self.length))

    def _read_values(self, index: int) -> np.ndarray:
        return read_raw_image(self._paths[index]) if self._stack is None else self._stack.read(index)

    def _read_or_skip(self, index: int) -> np.ndarray:
        """Read the values of an image; empty if it is broken, which is reported when the frame is read."""
        try:
            return self._read_values(index)
        except InputError:
            return np.empty(0, self._dtype)

    def _title(self, index: int) -> str:
        return str(self._paths[index]) if self._stack is None else f"{self._stack.path}, image {index}"


class VideoFrames(FrameSource):
    """A video file, decoded as it is read and rotated as players do."""

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.damaged = path, path.stem, []
        with _open_video(path) as container:
            stream = container.streams.video[0]
            self.rate, self.length = _read_rate(stream), stream.frames or None
            first = next(_decode(path, container), None)
            if first is None:
                raise InputError(f"{path}: {NO_FRAMES}")
            self.size, self._start = (first[0].shape[0], first[0].shape[1]), first[1]
            self.sound = Sound(path, first[1] or Fraction(0)) if container.streams.audio else None
        with _open_video(path) as container:
            self.variable = has_variable_rate(container, self.rate)
        self._times: list[Fraction] = []
        self._lock = threading.Lock()
        self._index: VideoIndex | None = None
        self._reader = VideoReader(self)

    def time(self, index: int) -> Fraction:
        """Return seconds from the first frame, by the file's clock if its rate varies, else by the rate."""
        if not self.variable:
            return super().time(index)
        times = self._times
        return times[index] - times[0] if index < len(times) else self.index.time(index, self.rate)

    def __iter__(self) -> Iterator[np.ndarray]:
        times: list[Fraction] = []
        damage: list[int] = []
        self._times, self.damaged = times, damage
        with _open_video(self.path) as container:
            for index, (image, time, damaged) in enumerate(_decode(self.path, container)):
                if self.variable:
                    times.append(_next_time(times, time, self.rate))
                if damaged:
                    damage.append(index)
                yield _require_size(image, self.size, f"{self.path}, frame {index}")
        missing = count_missing_bytes(self.path)
        if missing:
            raise InputError(
                f"{self.path}: cut off after frame {index}, at least {missing} bytes are missing; copy it again"
            )

    @property
    def index(self) -> VideoIndex:
        """Times and key frames of the file, read when first used."""
        with self._lock:
            if self._index is None:
                self._index = VideoIndex(self.path, self._start)
            return self._index

    def read(self, index: int) -> np.ndarray:
        """Return a frame, H×W×3 uint8 RGB, in any order; threads with a `VideoReader` each do not make others seek.

        Raises:
            InputError: no such frame, or the file does not decode there.
        """
        if index == 0:  # without indexing the file
            with _open_video(self.path) as container:
                return next(_decode(self.path, container))[0]
        return self._reader.read(index)


class DecodedFrame:
    """A frame of a video in its decoder's format, about half the size of the image. Thread-safe."""

    def __init__(self, frame: av.VideoFrame, index: int, source: VideoFrames) -> None:
        self._frame, self._lock = frame, threading.Lock()  # PyAV keeps one scaler for each frame
        self._title, self._size = f"{source.path}, frame {index}", source.size
        self.nbytes = sum(plane.buffer_size for plane in frame.planes)
        """size in memory"""

    def to_rgb(self) -> np.ndarray:
        """Return H×W×3 uint8 RGB, rotated; raises `InputError` for a frame of another size."""
        with self._lock:
            return _require_size(_to_rgb(self._frame), self._size, self._title)


class VideoIndex:
    """Times and key frames of a video file, up to the first packet that cannot be read.

    Packets are read without decoding, unless their times are doubtful.

    Args:
        path: the file.
        start: seconds of the first frame that decodes, by the file's clock; earlier packets have no frame, as their
            key frame is missing.
    """

    def __init__(self, path: Path, start: Fraction | None = None) -> None:
        entries, self.time_base = _read_packets(path)
        times = [entry.time for entry in entries if entry.time is not None]
        self.seekable = len(set(times)) == len(entries) and all(
            not entry.corrupt and (entry.sent is None or earlier.sent is None or earlier.sent < entry.sent)
            for earlier, entry in pairwise(entries)
        )
        """whether frames have distinct times; otherwise the file can only be read from its beginning"""
        if self.seekable and start is not None:
            entries = [entry for entry in entries if (entry.time or 0) * self.time_base >= start]
            self.times = sorted(entry.time for entry in entries if entry.time is not None)
        elif self.seekable:
            self.times = sorted(times)
        else:  # damaged, joined from several files, or without times
            decoded = _decode_times(path)
            self.times = [time for time in decoded if time is not None]
            self.seekable = all(earlier < later for earlier, later in pairwise(self.times))
            self.seekable = self.seekable and len(self.times) == len(decoded)
            self.times = self.times if self.seekable else []
        self.length = len(self.times) if self.seekable else len(decoded)
        self.numbers: dict[int | None, int] = {time: number for number, time in enumerate(self.times)}
        """frame number by time; empty if not seekable"""
        self._seek_times = {0: 0} | {
            self.numbers[entry.time]: entry.time if entry.sent is None else min(entry.time, entry.sent)
            for entry in entries
            if entry.key and entry.time is not None and entry.time in self.numbers
        }
        self._keys = sorted(self._seek_times)

    def find_key_frame(self, index: int) -> int:
        """Return the last key frame up to this one."""
        return self._keys[bisect_right(self._keys, index) - 1]

    def seek_time(self, key: int) -> int:
        """Return the time to seek to for a key frame, not later than its packet's, in units of `time_base`."""
        return self._seek_times[key]

    def time(self, index: int, rate: Fraction) -> Fraction:
        """Return seconds from the first frame; by the rate if the file has no distinct times."""
        return (self.times[index] - self.times[0]) * self.time_base if self.seekable else index / rate


class VideoReader:
    """Random access to a video file; continues at its position if no key frame is nearer. Thread-safe.

    A frame is known by its time. If decoding from a key frame does not yield the wanted one, as after an inexact seek
    in MPEG-TS or in H.264 without key frames (intra refresh), it starts at an earlier key frame.
    """

    def __init__(self, source: VideoFrames) -> None:
        self._source = source
        self.lock = threading.RLock()
        """held while a frame is read"""
        self._container: av.container.InputContainer | None = None
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._next = 0  # next frame to decode
        self._target = 0  # earlier frames are decoded only if others refer to them
        self._key: int | None = None  # frame sought, until a frame is decoded after it
        self._gap = 0  # largest number of frames missing after a sought key frame
        self._exact = True  # whether decoding began at the start of the file

    def read(self, index: int, keep: Callable[[int, DecodedFrame], None] | None = None) -> np.ndarray:
        """Return a frame, H×W×3 uint8 RGB.

        Args:
            index: frame number.
            keep: called with the number of this frame, of up to `NUM_KEPT_FRAMES` decoded before it, and the frame.

        Raises:
            InputError: no such frame, or the file does not decode there.
        """
        import av

        _require_index(self._source, index, self._source.index.length)
        with self.lock:
            try:
                frame = self._find(index, keep)
            except (av.FFmpegError, OSError) as error:
                self.close()
                raise _decode_error(self._source.path, index, error) from error
            if frame is None:
                self.close()
                raise InputError(f"{self._source.path}: frame {index} does not decode; repair the file")
            return frame.to_rgb()

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            if self._container is not None:
                self._container.close()
            self._container, self._frames, self._next = None, iter(()), 0

    def _find(self, index: int, keep: Callable[[int, DecodedFrame], None] | None) -> DecodedFrame | None:
        """Return a frame, decoded from here or from ever earlier key frames; None if it is not found."""
        file, back = self._source.index, self._gap
        self._target = max(0, index - NUM_KEPT_FRAMES) if keep else index
        key = file.find_key_frame(max(0, index - self._gap))
        started = self._container is None or not key <= self._next <= index
        if started:
            self._start(key)
        frame = self._decode_until(index, keep)
        while frame is None and (key or not started):
            if started:
                back = max(2 * back, index + 1 - key)
                key = file.find_key_frame(max(0, index - back))
            self._start(key)
            started, frame = True, self._decode_until(index, keep)
        return frame

    def _start(self, key: int) -> None:
        """Continue at a key frame; at the first one by opening the file again."""
        if key == 0 or self._container is None:
            self.close()
            self._container = _open_video(self._source.path)
            self._container.streams.video[0].thread_type = "AUTO"
        if key:
            self._container.seek(self._source.index.seek_time(key), stream=self._container.streams.video[0])
        self._next, self._key, self._exact = key, key or None, not key
        self._frames = self._decode(self._container)

    def _decode_until(
        self, index: int, keep: Callable[[int, DecodedFrame], None] | None
    ) -> DecodedFrame | None:
        """Return a frame; None if it does not come before a later one."""
        file = self._source.index
        for frame in self._frames:
            number = file.numbers.get(frame.pts) if file.seekable else self._next
            if number is None or (frame.is_corrupt and not self._exact):
                continue
            if self._key is not None:
                self._gap, self._key = max(self._gap, number - self._key), None
            self._next = number + 1
            decoded = DecodedFrame(frame, number, self._source)
            if keep and number >= self._target:
                keep(number, decoded)
            if number >= index:
                return decoded if number == index else None
        return None

    def _decode(self, container: av.container.InputContainer) -> Iterator[av.VideoFrame]:
        """Yield all frames from here on, without unreferenced ones before the wanted frame."""
        stream, times = container.streams.video[0], self._source.index.times
        for packet in container.demux(stream):
            early = bool(times) and packet.pts is not None and packet.pts < times[self._target]
            stream.codec_context.skip_frame = "NONREF" if early else "DEFAULT"
            yield from packet.decode()


class Packet(NamedTuple):
    """Times of a packet by the file's clock, in units of the stream's time base."""

    time: int | None
    """time of its frame"""
    sent: int | None
    """time of decoding"""
    key: bool
    corrupt: bool


def _read_packets(path: Path) -> tuple[list[Packet], Fraction]:
    """Return the packets of a video file up to the first one that cannot be read, and the time base."""
    import av

    packets: list[Packet] = []
    with _open_video(path) as container:
        stream = container.streams.video[0]
        with suppress(av.FFmpegError, OSError):
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    packets.append(Packet(packet.pts, packet.dts, packet.is_keyframe, packet.is_corrupt))
        return packets, Fraction(stream.time_base or 0)


def _decode_times(path: Path) -> list[int | None]:
    """Return the times of all frames in order, in units of the time base, up to the first that does not decode."""
    import av

    times: list[int | None] = []
    with _open_video(path) as container, suppress(av.FFmpegError, OSError):
        container.streams.video[0].thread_type = "FRAME"  # as `VideoFrames` is iterated
        times.extend(frame.pts for frame in container.decode(video=0))
    return times


class StreamFrames(FrameSource):
    """A stream, which can be iterated once; damaged frames are skipped."""

    variable = True

    def __init__(self, container: av.container.InputContainer, title: str, name: str, *, live: bool) -> None:
        self.title, self.name, self.live, self.damaged = title, name, live, []
        if not container.streams.video:
            raise InputError(f"{title}: holds no video; give a source with images")
        _require_decoder(container, title)
        rate = _read_rate(container.streams.video[0])
        self.rate = rate if rate <= MAX_STREAM_RATE else DEFAULT_RATE
        self._times: list[Fraction] = []
        self._frames = self._decode(container)
        first = next(self._frames, None)
        if first is None:
            raise InputError(f"{title}: ended before the first frame; give a source with at least one")
        self._first: tuple[np.ndarray, Fraction | None] | None = first
        self.size = (first[0].shape[0], first[0].shape[1])

    def time(self, index: int) -> Fraction:
        """Return seconds from the first frame, by the clock of the source."""
        return self._times[index] - self._times[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        if self._first is None:
            raise InputError(f"{self.title}: can be read only once; store it in a file first")
        first, self._first = self._first, None
        for index, (image, time) in enumerate(chain([first], self._frames)):
            self._times.append(_next_time(self._times, time, self.rate))
            yield _require_size(image, self.size, f"{self.title}, frame {index}")

    def _decode(self, container: av.container.InputContainer) -> Iterator[tuple[np.ndarray, Fraction | None]]:
        """Yield frames and their seconds."""
        import av

        stream = container.streams.video[0]
        # threads for slices do not mark damaged frames, threads for frames make live ones late
        stream.thread_type, stream.codec_context.thread_count = "FRAME", 1
        with container:
            try:
                for packet in _wait_for_packets(container):
                    try:
                        frames = packet.decode()
                    except av.InvalidDataError:
                        self.lost += 1
                        continue
                    for frame in frames:
                        if frame.is_corrupt:
                            self.lost += 1
                        else:
                            yield _to_rgb(frame), _read_time(frame)
            except (av.FFmpegError, OSError) as error:
                raise InputError(
                    f"{self.title}: interrupted ({_describe(error)}); check the source"
                ) from error


def store_frame(source: FrameSource, index: int, frame: np.ndarray, path: Path) -> None:
    """Link the image file of a frame, or write the frame as JPEG if it has no 8-bit file.

    Args:
        source: source of the frame.
        index: frame number.
        frame: H×W×3 uint8 RGB.
        path: file to write, without suffix.

    Raises:
        InputError: the file cannot be written.
    """
    file = source.file(index) if isinstance(source, ImageFrames) and source.levels is None else None
    path = path.with_name(f"{path.name}{'.jpg' if file is None else file.suffix}")
    with atomic_path(path) as temporary:
        if file is None:
            Image.fromarray(frame).save(temporary, format="JPEG", quality=95)
            return
        try:
            temporary.symlink_to(real_path(file))
        except OSError:  # no links here
            shutil.copyfile(file, temporary)


def open_container(
    source: Any,
    *,
    playlists: bool = False,
    timeout: float | None = None,
    options: dict[str, str] | None = None,
) -> av.container.InputContainer:
    """Open a file or address; tags that are not UTF-8, which some cameras write, are accepted.

    Args:
        source: path, address, or file object.
        playlists: also open lists of other files, such as HLS. FFmpeg follows lists on a server only to servers, but
            local lists to any local file.
        timeout: seconds to wait for a server.
        options: FFmpeg options by name.
    """
    import av

    allowed = {} if playlists else {"format_whitelist": ",".join(sorted(av.formats_available - PLAYLISTS))}
    return av.open(
        source, metadata_errors="replace", timeout=timeout, options=options or {}, container_options=allowed
    )


def has_variable_rate(container: av.container.InputContainer, rate: Fraction) -> bool:
    """Return whether the first frames are unevenly spaced or differ from the stated rate; reads packets."""
    import av

    stream = container.streams.video[0]
    if stream.time_base is None:
        return False
    times = []
    # stop at an unreadable packet; decoding reports its frame
    with suppress(av.FFmpegError):
        for packet in islice(container.demux(stream), NUM_PEEKED_PACKETS):
            if packet.pts is not None:
                times.append(packet.pts * stream.time_base)
    times.sort()
    slack = max(stream.time_base * 3 / 2, 1 / rate / 100)
    # the last packets may lack neighbours that are stored later
    steps = [later - earlier for earlier, later in pairwise(times[: max(len(times) * 3 // 4, 3)])]
    return any(abs(step - 1 / rate) > slack for step in steps)


def _open_video(path: Path) -> av.container.InputContainer:
    import av

    try:
        container = open_container(str(path))
    except av.EOFError as error:
        raise InputError(f"{path}: {NO_FRAMES}") from error
    except (av.FFmpegError, OSError) as error:
        raise InputError(
            f"{path}: not a readable video ({_describe(error)}); give a video or a folder"
        ) from error
    if not container.streams.video or NOT_VIDEO.fullmatch(container.format.name):
        problem = "not a video; give a video file or a folder of frames" if container.streams else NO_FRAMES
        container.close()
        raise InputError(f"{path}: {problem}")
    _require_decoder(container, str(path))
    return container


def _open_stream(source: str, timeout: float) -> StreamFrames:
    """Open a stream and read its first frame in another thread; raise `InputError` after a timeout."""
    import av

    path, address = Path(source), ADDRESS.fullmatch(source)
    mode = 0 if address or source == "-" else file_mode(path)
    numbered = not mode and CAMERA_NUMBER.fullmatch(source) is not None
    camera = numbered or stat.S_ISCHR(mode)
    title, name = source, path.stem
    if numbered:
        title, name = f"camera {source}", f"camera{source}"
    elif source == "-":
        title, name = "standard input", "stdin"
    elif address:
        title, name = f"{address[1]}://{address[2]}", Path(address[2]).stem or address[1]
    live = camera or bool(address and address[1].lower() in LIVE_PROTOCOLS)

    def open_stream() -> StreamFrames:
        if address:
            tcp = {"rtsp_transport": "tcp"} if address[1].startswith("rtsp") else {}
            container = open_container(source, playlists=True, timeout=timeout, options=tcp)
        elif camera:
            device, file = _find_camera(source)
            # the only rate of many cameras on macOS, and not FFmpeg's default there
            rate = {"framerate": "30"} if device == "avfoundation" else {}
            container = av.open(file, format=device, options=rate, metadata_errors="replace")
        else:
            # unbuffered: the lock of a buffer would block the end of the program while a reader hangs
            pipe: Any = sys.stdin.fileno() if source == "-" else path
            opened = open(pipe, "rb", buffering=0, closefd=source != "-")  # noqa: SIM115
            container = open_container(opened)
        return StreamFrames(container, title, name, live=live)

    result: Future[StreamFrames] = Future()

    def work() -> None:
        try:
            result.set_result(open_stream())
        except BaseException as error:  # raised in the caller's thread
            result.set_exception(error)

    threading.Thread(target=work, name="opener", daemon=True).start()
    if not wait([result], timeout).done:
        raise InputError(
            f"{title}: no frame within {timeout:g} seconds; check the source, or wait longer (timeout)"
        )
    try:
        return result.result()
    except InputError:
        raise
    except (av.FFmpegError, OSError, ValueError) as error:  # ValueError: a PyAV without v4l2
        raise InputError(f"{title}: cannot be opened ({_describe(error)}); check the address") from error


def _wait_for_packets(container: av.container.InputContainer) -> Iterator[av.Packet]:
    """Yield the packets of the first video stream; cameras of macOS fail instead of waiting for the next frame."""
    while True:
        try:
            yield from container.demux(container.streams.video[0])
            return
        except BlockingIOError:
            sleep(CAMERA_POLL_SECONDS)


def _find_camera(source: str) -> tuple[str, str]:
    """Return FFmpeg's reader of cameras on this system, and the name there of a camera's number or device file."""
    import av

    if sys.platform == "darwin":
        return "avfoundation", source
    if sys.platform != "win32":
        return "v4l2", f"/dev/video{source}" if CAMERA_NUMBER.fullmatch(source) else source
    if not hasattr(av, "enumerate_input_devices"):
        raise InputError(f"camera {source}: needs PyAV with enumerate_input_devices; install a newer one")
    cameras = [device.name for device in av.enumerate_input_devices("dshow") if "video" in device.media_types]
    if int(source) >= len(cameras):
        raise InputError(f"camera {source}: this system has {len(cameras)}; the first is 0")
    return "dshow", f"video={cameras[int(source)]}"


def _decode(
    path: Path, container: av.container.InputContainer
) -> Iterator[tuple[np.ndarray, Fraction | None, bool]]:
    """Yield frames as shown, H×W×3 uint8 RGB, their seconds, and whether the decoder filled in damage."""
    import av

    index, last, damaged = 0, None, dict[int | None, int]()
    # slice threads do not mark frames that the decoder filled in
    container.streams.video[0].thread_type = "FRAME"
    try:
        for packet in container.demux(video=0):
            last = packet.pts if packet.size else last
            for frame in packet.decode():
                if frame.is_corrupt:
                    damaged[frame.pts] = index
                yield _to_rgb(frame), _read_time(frame), frame.is_corrupt
                index += 1
    except (av.FFmpegError, OSError) as error:
        raise _decode_error(path, index, error) from error
    if last in damaged and container.format.name in WITHOUT_LENGTH:
        raise InputError(f"{path}: cut off within frame {damaged[last]}; copy it again")


def _to_rgb(frame: av.VideoFrame) -> np.ndarray:
    """Return the frame rotated by quarter turns and mirrored, as in its display matrix."""
    image = frame.to_ndarray(format="rgb24")
    entry: Any = frame.side_data.get("DISPLAYMATRIX")
    if entry is None:
        return image
    # Pixel (x, y) is shown at (a x + c y, b x + d y), up to a shift.
    a, b, _, c, d = np.frombuffer(bytes(entry), dtype=np.int32)[:5].astype(int)
    if abs(b) > abs(a):
        image, a, d = image.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _read_rate(stream: Any) -> Fraction:
    """Return the frames per second of a video stream."""
    return Fraction(stream.average_rate or stream.guessed_rate or DEFAULT_RATE)


def _read_time(frame: av.VideoFrame) -> Fraction | None:
    """Return the frame's time by its source's clock."""
    return None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base


def _next_time(times: list[Fraction], time: Fraction | None, rate: Fraction) -> Fraction:
    """Return the time of the frame after those with ``times``; by the rate if its own time is unknown."""
    if time is not None:
        return time
    return times[-1] + 1 / rate if times else Fraction(0)


def _require_no_levels(levels: LevelsOption, title: str) -> None:
    if levels is not None:
        raise InputError(
            f"levels {levels}: only for folders of images and TIFF stacks, not for {title}; leave levels out"
        )


def _require_decoder(container: av.container.InputContainer, title: str) -> None:
    """Raise unless this FFmpeg has a decoder for the first video stream, and close the container."""
    if container.streams.video[0].codec_context is None:
        container.close()
        raise InputError(f"{title}: no decoder for its video; give H.264, for example")


def _require_index(source: FrameSource, index: int, length: int) -> None:
    if not 0 <= index < length:
        raise InputError(f"{source.name}: no frame {index}; give one of 0 to {length - 1}")


def _require_size(image: np.ndarray, size: tuple[int, int], title: str) -> np.ndarray:
    """Return the image if it has the size of the first frame."""
    height, width, _ = image.shape
    if (height, width) != size:
        raise InputError(
            f"{title}: {width}×{height}, but the first frame is {size[1]}×{size[0]}; give frames of one size"
        )
    return image


def _decode_error(path: Path, index: int, error: Exception) -> InputError:
    return InputError(
        f"{path}: frame {index} does not decode ({_describe(error)}); repair the file or cut it before"
    )


def _describe(error: Exception) -> str:
    """Return FFmpeg's message without the number and the file name."""
    import av

    if isinstance(error, av.ArgumentError):
        return "damaged, or a playlist of other files"
    return getattr(error, "strerror", None) or str(error)
