"""Frames from a video file or a folder of pictures."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from aotlab.media.deep_images import kind_of
from aotlab.media.frame_times import Times, is_variable, rate_of, seconds_of
from aotlab.media.image_frames import (
    FOLDER_RATE,
    FolderPictures,
    LevelsOption,
    PictureFrames,
    StackPictures,
    of_size,
)
from aotlab.media.levels import Levels
from aotlab.media.sound import Sound
from aotlab.media.video_writer import VideoWriter as VideoWriter
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, is_folder

if TYPE_CHECKING:
    import av

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
    variable: bool
    """whether frames come at times that are no multiples of 1 / rate"""
    live: bool
    """whether frames come as they happen, and are gone if nobody takes them"""
    damaged: list[int]
    """numbers of the frames read until now that were damaged, and that the decoder filled in from their neighbours"""
    lost: int
    """pieces read until now that did not decode, and were passed over"""
    levels: Levels | None
    """what is black and white in pictures of more than 8 bits; None where frames are as they were stored"""
    sound: Sound | None
    """where the sound that belongs to the frames is"""

    def time(self, index: int) -> Fraction:
        """Seconds from the first frame to one that was read already."""

    def stem(self, index: int) -> str:
        """File name without suffix for what belongs to a frame."""

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames."""


def open_frames(
    path: Path | str, *, rate: Fraction = FOLDER_RATE, levels: LevelsOption = None
) -> FrameSource:
    """Open a video file, a folder of pictures or a TIFF stack; the first frame is read to prove that it can be.

    Args:
        path: a video file, a stack, or a folder, whose pictures are taken in the order of their names.
        rate: frames per second given to pictures.
        levels: of pictures: ``auto`` finds in the whole video what becomes black and white, ``LOW,HIGH`` states it.
            Without, pictures of 8 bits stay as they are, and all others are ``auto``.

    Raises:
        InputError: no such path, not a video, no frames, or the first frame cannot be read; ``levels`` are wrong, or
            given for a video file, which states its own.
    """
    path = Path(path)
    if is_folder(path):
        return PictureFrames(FolderPictures(path), rate, levels)
    if is_file(path) and kind_of(path) == "tiff":
        return PictureFrames(StackPictures(path), rate, levels)
    if is_file(path):
        refuse_levels(levels, str(path))
        return VideoFrames(path)
    raise InputError(f"{path}: no such file or folder; give a video file or a folder of frames")


def frames_at(source: FrameSource, wanted: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (number, frame) of the wanted frames in order; nothing after the last of them is decoded.

    Raises:
        InputError: the source ends before a wanted frame, or one cannot be read.
    """
    if isinstance(source, PictureFrames):
        frames = ((index, source.read(index)) for index in sorted(wanted) if index < (source.length or 0))
    else:
        frames = (
            (index, frame) for index, frame in enumerate(islice(source, max(wanted) + 1)) if index in wanted
        )
    index = -1
    for index, frame in frames:
        yield index, frame
    if index < max(wanted):
        ends = "" if source.length is None else f"; give one of 0 to {source.length - 1}"
        raise InputError(f"{source.name}: has no frame {max(wanted)}{ends}")


def refuse_levels(levels: LevelsOption, title: str) -> None:
    """Raise `InputError` where levels are given for what is not made of pictures."""
    if levels is not None:
        raise InputError(
            f"levels {levels}: are for folders of pictures and TIFF stacks, and {title} is neither; leave levels out"
        )


class VideoFrames:
    """A video file as a `FrameSource`, decoded as it is read and turned the way players show it."""

    live = False
    lost = 0
    levels: Levels | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        with _open_video(path) as container:
            stream = container.streams.video[0]
            self.rate = rate_of(stream)
            self.length: int | None = stream.frames or None
            first = next(_decode(path, container), None)
            heard = bool(container.streams.audio)
        if first is None:
            raise InputError(f"{path}: {NO_FRAMES}")
        with _open_video(path) as container:
            self.variable = is_variable(container, self.rate)
        self.size: tuple[int, int] = (first[0].shape[0], first[0].shape[1])
        self.damaged: list[int] = []
        self.sound = Sound(path, first[1] or Fraction(0)) if heard else None
        self._times = Times(self.rate, self.variable)

    def time(self, index: int) -> Fraction:
        """As the file says where its rate varies, else as the rate says."""
        return self._times[index]

    def stem(self, index: int) -> str:
        """The frame's number, five digits at least."""
        return f"{index:05d}"

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames; raises `InputError` for one that does not decode or has another size."""
        self._times.clear()
        self.damaged = []
        with _open_video(self.path) as container:
            for index, (picture, time, damaged) in enumerate(_decode(self.path, container)):
                self._times.add(time)
                if damaged:
                    self.damaged.append(index)
                yield of_size(picture, self.size, f"{self.path}, frame {index}")


def open_container(source: Any, **options: Any) -> av.container.InputContainer:
    """Open a file, address or camera; tags that are not UTF-8, which some cameras write, do not matter."""
    import av

    return av.open(source, metadata_errors="replace", **options)


def _open_video(path: Path) -> av.container.InputContainer:
    """Open a file that holds a video stream; raises `InputError` for any other."""
    import av

    try:
        container = open_container(str(path))
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
    require_decoder(container, str(path))
    return container


def require_decoder(container: av.container.InputContainer, title: str) -> None:
    """Raise unless this FFmpeg has a decoder for the first video stream, and close the container."""
    if container.streams.video[0].codec_context is None:
        container.close()
        raise InputError(f"{title}: no decoder knows its video; give H.264, for example")


def _decode(
    path: Path, container: av.container.InputContainer
) -> Iterator[tuple[np.ndarray, Fraction | None, bool]]:
    """Yield the frames as shown, H×W×3 uint8 RGB, their seconds, and whether the decoder filled in a damage.

    Raises:
        InputError: a frame does not decode.
    """
    import av

    index = 0
    # with FFmpeg's other way, threads for the slices of a frame, frames that it filled in are not marked
    container.streams.video[0].thread_type = "FRAME"
    try:
        for frame in container.decode(video=0):
            yield upright(frame), seconds_of(frame), frame.is_corrupt
            index += 1
    except (av.FFmpegError, OSError) as error:
        message = (
            f"{path}: frame {index} does not decode ({_reason(error)}); repair the file or cut it before that"
        )
        raise InputError(message) from error


def upright(frame: av.VideoFrame) -> np.ndarray:
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


def _reason(error: Exception) -> str:
    """What FFmpeg says, without the number and the file name."""
    return getattr(error, "strerror", None) or str(error)
