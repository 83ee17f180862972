"""Streams, which are read once and in order: addresses, cameras, pipes, standard input."""

from __future__ import annotations

import re
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, TimeoutError
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aotlab.media.frame_source import FrameSource, Times, rate_of, seconds_of
from aotlab.media.image_frames import LevelsOption, of_size
from aotlab.media.video import (
    open_container,
    open_frames,
    reason_of,
    refuse_levels,
    require_decoder,
    upright,
)
from aotlab.utils.errors import InputError
from aotlab.utils.files import file_mode

if TYPE_CHECKING:
    import av

Shown = tuple[np.ndarray, Fraction | None]
"""a frame and its time in seconds"""

ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://(?:[^/@]*@)?(.*)", re.IGNORECASE)
"""address: protocol, and the rest after a name and password"""

LIVE = ("rtsp", "rtsps", "rtp", "udp", "rtmp", "srt")
"""protocols of live sources"""

FASTEST = 250
"""largest plausible frame rate; larger ones are clock ticks"""


def open_source(address: str | Path, *, timeout: float = 30.0, levels: LevelsOption = None) -> FrameSource:
    """Open a source of frames and read the first one.

    Args:
        address: a video file, a folder of images, an address (``rtsp://``, ``http://``, ...), a camera
            (``/dev/video0``), a named pipe, or ``-`` for standard input.
        timeout: seconds to wait for the first frame of a stream.
        levels: as in `open_frames`.

    Raises:
        InputError: as `open_frames`; no answer, not readable by this PyAV, or no frame in time.
    """
    text, path = str(address), Path(address)
    match, mode = ADDRESS.fullmatch(text), file_mode(path)
    streamed = text == "-" or (match and match[1] != "file") or stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)
    if not streamed:
        return open_frames(path, levels=levels)
    refuse_levels(levels, "a stream")
    if text == "-":
        # unbuffered: the lock of a buffer would block the end of the program while a reader hangs
        return _open(lambda: open_container(open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)),
                     "standard input", "stdin", timeout)  # fmt: skip
    if match and match[1] != "file":
        tcp = {"rtsp_transport": "tcp"} if match[1].startswith("rtsp") else {}
        return _open(lambda: open_container(text, playlists=True, timeout=timeout, options=tcp),
                     f"{match[1]}://{match[2]}", Path(match[2]).stem or match[1], timeout,
                     live=match[1].lower() in LIVE)  # fmt: skip
    if stat.S_ISCHR(mode):
        return _open(lambda: _open_camera(text), text, path.name, timeout, live=True)
    return _open(lambda: open_container(open(path, "rb", buffering=0)), text, path.stem, timeout)


class StreamFrames(FrameSource):
    """A stream, which can be iterated once; damaged frames are skipped."""

    variable = True

    def __init__(self, container: av.container.InputContainer, title: str, name: str, *, live: bool) -> None:
        self.title, self.name, self.live = title, name, live
        self.damaged = []
        if not container.streams.video:
            raise InputError(f"{title}: holds no video; give a source with images")
        require_decoder(container, title)
        rate = rate_of(container.streams.video[0])
        self.rate = rate if rate <= FASTEST else Fraction(25)
        self._times = Times(self.rate)
        self._frames = self._decode(container)
        first = next(self._frames, None)
        if first is None:
            raise InputError(f"{title}: ended before the first frame; give a source with at least one")
        self._first: Shown | None = first
        self.size = (first[0].shape[0], first[0].shape[1])

    def time(self, index: int) -> Fraction:
        """Return seconds from the first frame, by the clock of the source."""
        return self._times[index]

    def __iter__(self) -> Iterator[np.ndarray]:
        if self._first is None:
            raise InputError(f"{self.title}: can be read only once; store it in a file first")
        first, self._first = self._first, None
        for index, (image, time) in enumerate(chain([first], self._frames)):
            self._times.add(time)
            yield of_size(image, self.size, f"{self.title}, frame {index}")

    def _decode(self, container: av.container.InputContainer) -> Iterator[Shown]:
        import av

        stream = container.streams.video[0]
        # threads for slices do not mark damaged frames, threads for frames make live ones late
        stream.thread_type, stream.codec_context.thread_count = "FRAME", 1
        with container:
            try:
                for packet in container.demux(stream):
                    try:
                        frames = packet.decode()
                    except av.InvalidDataError:
                        self.lost += 1
                        continue
                    for frame in frames:
                        if frame.is_corrupt:
                            self.lost += 1
                        else:
                            yield upright(frame), seconds_of(frame)
            except (av.FFmpegError, OSError) as error:
                raise InputError(
                    f"{self.title}: interrupted ({reason_of(error)}); check the source"
                ) from error


def _open_camera(path: str) -> av.container.InputContainer:
    import av

    try:
        return av.open(path, format="v4l2", metadata_errors="replace")
    except ValueError as error:  # no such format
        raise InputError(
            f"{path}: this PyAV is built without cameras (v4l2); pipe it in: "
            f"ffmpeg -f v4l2 -i {path} -c:v mpeg4 -q:v 3 -f mpegts - | aotlab track - ..."
        ) from error


def _open(
    start: Callable[[], av.container.InputContainer],
    title: str,
    name: str,
    timeout: float,
    *,
    live: bool = False,
) -> StreamFrames:
    """Open a stream and read its first frame in another thread; raise `InputError` after a timeout."""
    import av

    result: Future[StreamFrames] = Future()

    def work() -> None:
        try:
            result.set_result(StreamFrames(start(), title, name, live=live))
        except (av.FFmpegError, OSError) as error:
            message = f"{title}: cannot be opened ({reason_of(error)}); check the address"
            result.set_exception(InputError(message))
        except BaseException as error:  # raised in the caller's thread
            result.set_exception(error)

    threading.Thread(target=work, name="opener", daemon=True).start()
    try:
        return result.result(timeout)
    except TimeoutError as error:
        raise InputError(
            f"{title}: no frame within {timeout:g} seconds; check the source, or wait longer (timeout)"
        ) from error
