"""Frames from a video file or a folder of images."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aotlab.media.frame_source import FrameSource as FrameSource
from aotlab.media.frame_source import Times, is_variable, rate_of, seconds_of
from aotlab.media.image_frames import FOLDER_RATE, FolderImages, ImageFrames, LevelsOption, of_size
from aotlab.media.images import kind_of
from aotlab.media.sound import Sound
from aotlab.media.tiff import TiffStack
from aotlab.media.video_writer import VideoWriter as VideoWriter
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, is_folder

if TYPE_CHECKING:
    import av

NOT_VIDEO = re.compile(r"tty|image2|.*_pipe")
"""FFmpeg's readers of text files and single images"""

PLAYLISTS = frozenset({"concat", "dash", "hls", "imf", "sdp", "webm_dash_manifest"})
"""FFmpeg's readers of files that name other files"""

NO_FRAMES = "holds no frames; give a video with at least one frame"


def open_frames(
    path: Path | str, *, rate: Fraction = FOLDER_RATE, levels: LevelsOption = None
) -> FrameSource:
    """Open a video file, a folder of images or a TIFF stack; reads the first frame.

    Args:
        path: a video file, a stack, or a folder of images, sorted by name.
        rate: frames per second of images.
        levels: values of images shown as black and white: ``LOW,HIGH``, or ``auto`` for the whole video (default: 8-bit
            images unchanged, ``auto`` for others).

    Raises:
        InputError: no such path, not a video, no frames, or the first frame cannot be read; ``levels`` are invalid, or
            given for a video file.
    """
    path = Path(path)
    if is_folder(path):
        return ImageFrames(FolderImages(path), rate, levels)
    if is_file(path) and kind_of(path) == "tiff":
        return ImageFrames(TiffStack(path), rate, levels)
    if is_file(path):
        refuse_levels(levels, str(path))
        return VideoFrames(path)
    raise InputError(f"{path}: no such file or folder; give a video file or a folder of frames")


def frames_at(source: FrameSource, wanted: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (index, frame) of the wanted frames in order; frames after the last one are not decoded.

    Raises:
        InputError: the source ends before a wanted frame, or one cannot be read.
    """
    if isinstance(source, ImageFrames):
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
        raise InputError(f"{source.name}: no frame {max(wanted)}{ends}")


def refuse_levels(levels: LevelsOption, title: str) -> None:
    """Raise `InputError` if levels are given for a source that is not made of images."""
    if levels is not None:
        raise InputError(
            f"levels {levels}: only for folders of images and TIFF stacks, not for {title}; leave levels out"
        )


class VideoFrames(FrameSource):
    """A video file, decoded as it is read and rotated as players do."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        with _open_video(path) as container:
            stream = container.streams.video[0]
            self.rate = rate_of(stream)
            self.length = stream.frames or None
            first = next(_decode(path, container), None)
            heard = bool(container.streams.audio)
        if first is None:
            raise InputError(f"{path}: {NO_FRAMES}")
        with _open_video(path) as container:
            self.variable = is_variable(container, self.rate)
        self.size = (first[0].shape[0], first[0].shape[1])
        self.damaged = []
        self.sound = Sound(path, first[1] or Fraction(0)) if heard else None
        self._times = Times(self.rate)

    def time(self, index: int) -> Fraction:
        """Return seconds from the first frame, by the file's clock if its rate varies, else by the rate."""
        return self._times[index] if self.variable else super().time(index)

    def __iter__(self) -> Iterator[np.ndarray]:
        self._times, self.damaged = Times(self.rate), []
        with _open_video(self.path) as container:
            for index, (image, time, damaged) in enumerate(_decode(self.path, container)):
                if self.variable:
                    self._times.add(time)
                if damaged:
                    self.damaged.append(index)
                yield of_size(image, self.size, f"{self.path}, frame {index}")


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


def _open_video(path: Path) -> av.container.InputContainer:
    import av

    try:
        container = open_container(str(path))
    except av.EOFError as error:
        raise InputError(f"{path}: {NO_FRAMES}") from error
    except (av.FFmpegError, OSError) as error:
        raise InputError(
            f"{path}: not a readable video ({reason_of(error)}); give a video or a folder"
        ) from error
    if not container.streams.video or NOT_VIDEO.fullmatch(container.format.name):
        problem = "not a video; give a video file or a folder of frames" if container.streams else NO_FRAMES
        container.close()
        raise InputError(f"{path}: {problem}")
    require_decoder(container, str(path))
    return container


def require_decoder(container: av.container.InputContainer, title: str) -> None:
    """Raise unless this FFmpeg has a decoder for the first video stream, and close the container."""
    if container.streams.video[0].codec_context is None:
        container.close()
        raise InputError(f"{title}: no decoder for its video; give H.264, for example")


def _decode(
    path: Path, container: av.container.InputContainer
) -> Iterator[tuple[np.ndarray, Fraction | None, bool]]:
    """Yield frames as shown, H×W×3 uint8 RGB, their seconds, and whether the decoder filled in damage."""
    import av

    index = 0
    # slice threads do not mark frames that the decoder filled in
    container.streams.video[0].thread_type = "FRAME"
    try:
        for frame in container.decode(video=0):
            yield upright(frame), seconds_of(frame), frame.is_corrupt
            index += 1
    except (av.FFmpegError, OSError) as error:
        message = (
            f"{path}: frame {index} does not decode ({reason_of(error)}); repair the file or cut it before"
        )
        raise InputError(message) from error


def upright(frame: av.VideoFrame) -> np.ndarray:
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


def reason_of(error: Exception) -> str:
    """Return FFmpeg's message without the number and the file name."""
    import av

    if isinstance(error, av.ArgumentError):
        return "damaged, or a playlist of other files"
    return getattr(error, "strerror", None) or str(error)
