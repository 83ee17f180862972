"""Streams, cameras and pipes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import Future, wait
from contextlib import closing
from fractions import Fraction
from itertools import chain, islice
from time import sleep
from typing import TYPE_CHECKING, Any

import numpy as np

from aotlab.media.images import require_same_size
from aotlab.utils.errors import InputError
from aotlab.utils.files import describe_error, reading
from aotlab.utils.text import strip_credentials
from aotlab_video.sources import decoding
from aotlab_video.sources.frames import FrameSource
from aotlab_video.sources.location import CAMERA_NUMBER, VideoLocation
from aotlab_video.sources.plates import Plate, VideoPlate
from aotlab_video.sources.source_options import SourceOptions

if TYPE_CHECKING:
    import av

CAMERA_POLL_SECONDS = 0.005
"""Interval in seconds at which a camera without a new frame is asked again."""
LIVE_PROTOCOLS = ("rtsp://", "rtsps://", "rtp://", "udp://", "rtmp://", "srt://")


class StreamFrames(FrameSource):
    """A stream, which can be iterated once; damaged frames are skipped."""

    def __init__(self, container: av.container.InputContainer, subject: str, name: str, *, live: bool) -> None:
        self.subject, self.name, self.is_live = subject, name, live
        decoding.require_decoder(container, subject)
        rate = decoding.read_rate(decoding.find_video_stream(container))
        self.rate = rate if rate <= decoding.MAX_PLAUSIBLE_RATE else decoding.DEFAULT_RATE
        self._times: list[Fraction] = []
        self._frames = self._decode(container)
        first = next(self._frames, None)
        if first is None:
            raise InputError(decoding.NO_FRAMES, subject=subject)
        self._first: tuple[VideoPlate, Fraction | None] | None = first
        self.size = first[0].size

    @property
    def has_constant_rate(self) -> bool:
        return False  # not known before its end

    def time(self, index: int) -> Fraction:
        return self._times[index] - self._times[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (plate.to_image() for _, plate in self.iterate_plates(0))

    def iterate_plates(self, first: int) -> Iterator[tuple[int, Plate]]:
        return islice(self._read_once(), first, None)

    def _read_once(self) -> Iterator[tuple[int, VideoPlate]]:
        if self._first is None:
            raise InputError("can be read only once", subject=self.subject, remedy="save the stream to a file")
        first, self._first = self._first, None
        with closing(self._frames):
            for index, (plate, time) in enumerate(chain([first], self._frames)):
                self._times.append(decoding.next_time(self._times, time, self.rate))
                require_same_size(plate.size, self.size, f"{self.subject}, frame {index}", "the first frame")
                yield index, plate

    def _decode(
        self, container: av.container.InputContainer
    ) -> Generator[tuple[VideoPlate, Fraction | None], None, None]:
        """Yield frames and their seconds."""
        import av

        stream = decoding.find_video_stream(container)
        # With threads for slices, damaged frames are not marked. Threads for frames would make live ones late.
        stream.thread_type, stream.codec_context.thread_count = "FRAME", 1
        with container:
            try:
                for packet in _wait_for_packets(container):
                    try:
                        frames = packet.decode()
                    except av.InvalidDataError:
                        self.corrupt_packets += 1
                        continue
                    for frame in frames:
                        if frame.is_corrupt:
                            self.corrupt_packets += 1
                        else:
                            self.pixel_aspect = decoding.read_pixel_aspect(stream, frame)
                            yield VideoPlate(frame, stream.codec_context.name), decoding.read_time(frame)
            except (av.FFmpegError, OSError) as error:
                raise InputError(
                    f"interrupted ({describe_error(error)})", subject=self.subject, remedy="check the source"
                ) from error


def open_stream(location: VideoLocation, options: SourceOptions) -> StreamFrames:
    """Open a stream and read its first frame in another thread; raise `InputError` after a timeout."""
    import av

    timeout = options.timeout
    subject, live = strip_credentials(location.text), location.text.lower().startswith(LIVE_PROTOCOLS)
    if location.kind == "stdin":
        subject = "standard input"
    elif location.kind == "camera":
        subject, live = subject if subject.startswith("/") else f"camera {subject}", True
    result: Future[StreamFrames] = Future()

    def work() -> None:
        try:
            container = _open_source(location, timeout)
            result.set_result(StreamFrames(container, subject, location.name, live=live))
        except BaseException as error:  # raised in the caller's thread
            result.set_exception(error)

    threading.Thread(target=work, name="opener", daemon=True).start()
    if not wait([result], timeout).done:
        raise InputError(
            f"no frame within {timeout:g} seconds",
            subject=subject,
            remedy="check the source, or wait longer with --source timeout=SECONDS",
        )
    with reading(subject, "check the source", av.FFmpegError):
        frames = result.result()
    frames.options = options
    return frames


def _open_source(location: VideoLocation, timeout: float) -> av.container.InputContainer:
    kind, source = location
    if kind == "url":
        tcp = {"rtsp_transport": "tcp"} if source.startswith("rtsp") else {}
        return decoding.open_container(source, playlists=True, timeout=timeout, options=tcp)
    if kind == "camera":
        device, file = _resolve_camera(source)
        # Many cameras of macOS have this rate only. FFmpeg asks for another one by default.
        rate = {"framerate": "30"} if device == "avfoundation" else {}
        return decoding.open_container(file, format=device, playlists=True, options=rate)
    # A reader that hangs holds the lock of a buffered file, which would block the end of the program.
    pipe: Any = 0 if kind == "stdin" else source
    return decoding.open_container(open(pipe, "rb", buffering=0, closefd=kind != "stdin"))


def _wait_for_packets(container: av.container.InputContainer) -> Iterator[av.Packet]:
    """Yield the packets of the video stream; cameras of macOS fail instead of waiting for the next frame."""
    while True:
        try:
            yield from decoding.demux(container)
            return
        except BlockingIOError:
            sleep(CAMERA_POLL_SECONDS)


def _resolve_camera(source: str) -> tuple[str, str]:
    """Return FFmpeg's reader of cameras on this system, and the name there of a camera's number or device file."""
    import av

    if sys.platform == "darwin":
        return "avfoundation", source
    if sys.platform != "win32":
        return "v4l2", f"/dev/video{source}" if CAMERA_NUMBER.fullmatch(source) else source
    cameras = [device.name for device in av.enumerate_input_devices("dshow") if "video" in device.media_types]
    return "dshow", f"video={cameras[int(source)]}"
