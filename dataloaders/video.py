"""Frames from a video file or a folder of pictures, and video files from frames."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dataloaders.images import read_image
from utils.errors import InputError
from utils.files import atomic_path

if TYPE_CHECKING:
    import av

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
"""Files that count as frames in a folder."""

FOLDER_RATE = Fraction(24)
"""Frames per second of a folder, which does not say; DAVIS and most films use 24."""

NOT_VIDEO = re.compile(r"tty|image2|.*_pipe")
"""FFmpeg's readers of text files and single pictures, which it would take for videos."""

NO_FRAMES = "holds no frames; give a video with at least one frame"


class FrameSource(Protocol):
    """Frames in order; every iteration starts again at the first one and holds one frame at a time.

    Iterating yields H×W×3 uint8 RGB, and raises `InputError` naming the first frame that cannot be read.
    """

    name: str
    """file or folder name without suffix"""
    size: tuple[int, int]
    """height and width of every frame, as shown (after rotation)"""
    rate: Fraction
    """frames per second"""
    length: int | None
    """number of frames, or None where only reading all of them would tell"""

    def stem(self, index: int) -> str:
        """File name without suffix for what belongs to a frame."""

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames."""


def open_frames(path: Path | str, *, rate: Fraction = FOLDER_RATE) -> FrameSource:
    """Open a video file or a folder of pictures; the first frame is read to prove that it can be.

    Args:
        path: a video file, or a folder, whose pictures are taken in the order of their names.
        rate: frames per second given to a folder.

    Raises:
        InputError: no such path, not a video, no frames, or the first frame cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        return FolderFrames(path, rate)
    if path.is_file():
        return VideoFrames(path)
    raise InputError(f"{path}: no such file or folder; give a video file or a folder of frames")


class FolderFrames:
    """A folder of pictures as a `FrameSource`; results are named like the pictures."""

    def __init__(self, folder: Path, rate: Fraction = FOLDER_RATE) -> None:
        names = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
        self.paths = sorted(names, key=_natural)
        if not self.paths:
            raise InputError(f"{folder}: holds no frames; give a folder of {', '.join(SUFFIXES)} files")
        stem, count = Counter(path.stem for path in names).most_common(1)[0]
        if count > 1:
            raise InputError(f"{folder}: {count} pictures are named {stem}; give every frame its own name")
        height, width, _ = read_image(self.paths[0]).shape
        self.name = folder.resolve().name
        self.size = (height, width)
        self.rate = Fraction(rate)
        self.length: int | None = len(self.paths)

    def stem(self, index: int) -> str:
        """The stem of the picture at this place."""
        return self.paths[index].stem

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the pictures in order; raises `InputError` for one that is broken or of another size."""
        for path in self.paths:
            yield _of_size(read_image(path), self.size, str(path))


class VideoFrames:
    """A video file as a `FrameSource`, decoded as it is read and turned the way players show it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        with _open_video(path) as container:
            stream = container.streams.video[0]
            # Some files (one frame, raw streams) state no rate; any serves then, 25 is FFmpeg's own guess.
            self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
            self.length: int | None = stream.frames or None
            first = next(_decode(path, container), None)
        if first is None:
            raise InputError(f"{path}: {NO_FRAMES}")
        self.size: tuple[int, int] = (first.shape[0], first.shape[1])

    def stem(self, index: int) -> str:
        """The frame's number, five digits at least."""
        return f"{index:05d}"

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames; raises `InputError` for one that does not decode or has another size."""
        with _open_video(self.path) as container:
            for index, picture in enumerate(_decode(self.path, container)):
                yield _of_size(picture, self.size, f"{self.path}, frame {index}")


class VideoWriter:
    """Write frames to an H.264 MP4 file of exactly their rate and size; a context manager.

    H.264 with 4:2:0 chroma holds even sizes only, so an odd width or height is written with 4:4:4 chroma.
    Without libx264 the file is MPEG-4 Part 2. The file takes its name when the block ends without an error;
    a block that writes no frame makes no file.

    Args:
        path: the file, ending in .mp4.
        rate: frames per second.
        size: (height, width) of every frame.
    """

    def __init__(self, path: Path, *, rate: Fraction, size: tuple[int, int]) -> None:
        self.path = path
        self.rate = Fraction(rate)
        self.size = size
        self.frames = 0
        self._stack = ExitStack()
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            if self._stream is not None:
                self._container.mux(self._stream.encode(None))

    def write(self, frame: np.ndarray) -> None:
        """Append one frame, H×W×3 uint8 RGB.

        Raises:
            ValueError: it has another size than the file.
        """
        import av

        if frame.shape != (*self.size, 3):
            raise ValueError(f"a frame of shape {frame.shape} does not fit a video of size {self.size}")
        if self._stream is None:
            self._start()
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture = picture.reformat(format=self._stream.pix_fmt, dst_colorspace="ITU709")
        picture.pts = self.frames
        picture.time_base = self._stream.codec_context.time_base
        self._container.mux(self._stream.encode(picture))
        self.frames += 1

    def _start(self) -> None:
        import av

        temporary = self._stack.enter_context(atomic_path(self.path))
        self._container = self._stack.enter_context(av.open(str(temporary), "w", format="mp4"))
        self._stream = _add_stream(self._container, self.rate, self.size)


def _add_stream(container: av.container.OutputContainer, rate: Fraction, size: tuple[int, int]) -> Any:
    """Add the best encoder that this PyAV has, set for good quality."""
    import av

    height, width = size
    if "libx264" in av.codecs_available:
        stream: Any = container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "fast"})
        stream.pix_fmt = "yuv420p" if height % 2 == 0 and width % 2 == 0 else "yuv444p"
    else:
        # MPEG-4 Part 2 keeps the ticks of a second in 16 bits.
        rate = 1 / (1 / rate).limit_denominator(65535)
        stream = container.add_stream("mpeg4", rate=rate)
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = max(200_000, round(height * width * rate / 4))
    stream.height, stream.width = height, width
    stream.codec_context.time_base = 1 / rate
    # Untagged colours are guessed by players from the height; 1 is BT.709 in each of the three lists.
    stream.codec_context.colorspace = 1
    stream.codec_context.color_primaries = 1
    stream.codec_context.color_trc = 1
    return stream


def _open_video(path: Path) -> av.container.InputContainer:
    """Open a file that holds a video stream; raises `InputError` for any other."""
    import av

    try:
        container = av.open(str(path))
    except av.EOFError as error:
        raise InputError(f"{path}: {NO_FRAMES}") from error
    except (av.FFmpegError, OSError) as error:
        raise InputError(
            f"{path}: not a readable video ({_reason(error)}); give a video or a folder"
        ) from error
    if not container.streams:
        container.close()
        raise InputError(f"{path}: {NO_FRAMES}")
    if not container.streams.video or NOT_VIDEO.fullmatch(container.format.name):
        container.close()
        raise InputError(f"{path}: not a video; give a video file or a folder of frames")
    return container


def _decode(path: Path, container: av.container.InputContainer) -> Iterator[np.ndarray]:
    """Yield the frames as shown, H×W×3 uint8 RGB; raises `InputError` at one that is damaged."""
    import av

    index = 0
    try:
        for frame in container.decode(video=0):
            if frame.is_corrupt:
                raise InputError(
                    f"{path}: frame {index} is damaged; repair the file or cut it before that frame"
                )
            yield _upright(frame)
            index += 1
    except (av.FFmpegError, OSError) as error:
        message = (
            f"{path}: frame {index} does not decode ({_reason(error)}); repair the file or cut it before that"
        )
        raise InputError(message) from error


def _upright(frame: av.VideoFrame) -> np.ndarray:
    """The picture as its display matrix shows it: quarter turns and mirrorings of the decoded picture."""
    picture = frame.to_ndarray(format="rgb24")
    entry: Any = frame.side_data.get("DISPLAYMATRIX")
    if entry is None:
        return picture
    # Pixel (x, y) is shown at (a x + c y, b x + d y), up to a shift.
    a, b, _, c, d = np.frombuffer(bytes(entry), dtype=np.int32)[:5].astype(int)
    if abs(b) > abs(a):
        picture, a, d = picture.swapaxes(0, 1), c, b
    return np.ascontiguousarray(picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _of_size(picture: np.ndarray, size: tuple[int, int], name: str) -> np.ndarray:
    """The picture, if it has the first frame's size."""
    height, width, _ = picture.shape
    if (height, width) != size:
        raise InputError(
            f"{name}: {width}×{height}, but the first frame is {size[1]}×{size[0]}; give frames of one size"
        )
    return picture


def _natural(path: Path) -> list[str | int]:
    """Sort key in which numbers count by value, so that 2.jpg comes before 10.jpg."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]


def _reason(error: Exception) -> str:
    """What FFmpeg says, without the number and the file name."""
    return getattr(error, "strerror", None) or str(error)
