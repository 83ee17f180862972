"""FFmpeg's containers: opening, decoding, display matrix, rates and times."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aotlab.utils.errors import InputError
from aotlab.utils.files import describe_error, reading
from aotlab.utils.text import format_count
from aotlab_video.sources.timecode import Timecode

if TYPE_CHECKING:
    import av


DEFAULT_RATE = Fraction(25)
"""Frame rate of videos without one (single frames, raw streams); FFmpeg's default."""
MAX_PLAUSIBLE_RATE = 250
"""Largest plausible frame rate; larger ones may be ticks of a clock, as in AVI files with uneven times."""
NOT_VIDEO = re.compile(r"tty|image2|.*_pipe")
"""FFmpeg's readers of text files and single images."""
PLAYLISTS = frozenset({"concat", "dash", "hls", "imf", "sdp", "webm_dash_manifest"})
"""FFmpeg's readers of files that list other files."""
FORMATS_WITHOUT_DURATION = ("mpeg", "mpegts")
"""FFmpeg's readers of files without a duration in the header; if the last frame is incomplete, the file is cut off."""
FORMATS_WITHOUT_ORDER = ("avi", "mxf")
"""FFmpeg's readers of files that do not store the order of display; with B-frames, times are wrong."""
UNKNOWN_LENGTH = 2**32 - 1
"""Length in the header of an AVI file that was written to a pipe."""
DURATION_TOLERANCE = Fraction(1, 4)
"""Seconds by which the duration of a complete Matroska file may be wrong."""
SEGMENT = re.compile(rb"\x1a\x45\xdf\xa3.{,99}?\x18\x53\x80\x67(\x01.{7}|[\x10-\x1f].{3}|[\x08-\x0f].{4})", re.DOTALL)
"""Start of a Matroska file, including the segment size."""
DEFAULT_STREAM, ATTACHED_PICTURE = 1, 1 << 10
"""FFmpeg's flags of a stream that players choose, and of one with cover art."""
DEFAULT_SCORE = 5_000_000
"""Pixels by which FFmpeg's programs prefer the default stream to larger ones."""
NO_FRAMES = "contains no frames; give a video with at least one frame"


def open_container(
    source: Any,
    *,
    format: str | None = None,
    playlists: bool = False,
    timeout: float | None = None,
    options: dict[str, str] | None = None,
) -> av.container.InputContainer:
    """Open a file, URL or camera; tags that are not UTF-8, which some cameras write, are accepted.

    Args:
        source: path, URL, name of a camera, or file object.
        format: FFmpeg's name of the reader; None: detected.
        playlists: also open lists of other files, such as HLS. FFmpeg follows lists on a server only to servers, but
            local lists to any local file.
        timeout: seconds to wait for a server.
        options: FFmpeg options by name.
    """
    import av

    drop_messages()
    formats = {} if playlists else {"format_whitelist": ",".join(sorted(av.formats_available - PLAYLISTS))}
    tags: dict[str, Any] = {}
    if int(av.__version__.partition(".")[0]) < 19:  # later versions accept all tags
        tags["metadata_errors"] = "replace"
    return av.open(source, format=format, timeout=timeout, options=options or {}, container_options=formats, **tags)


def drop_messages() -> None:
    """Drop FFmpeg's messages, as PyAV does unless told otherwise.

    torchvision (0.25) passes them to Python's logging: threads of a codec then wait for the interpreter, while it waits
    for them to close a file.
    """
    import av

    av.logging.set_level(None)


def open_video(path: Path) -> av.container.InputContainer:
    """Open a video file; raise `InputError` if it cannot be decoded."""
    import av

    with reading(path, "give a complete video file, not a playlist", av.FFmpegError):
        container = open_container(os.path.abspath(path))  # FFmpeg reads "12:30.mp4" as a protocol
    require_decoder(container, str(path), images=False)
    return container


def find_video_stream(container: av.container.InputContainer) -> av.VideoStream:
    """Return the video stream that FFmpeg's programs choose: the default one, the largest, no cover art if possible.

    Unlike there, one frame beside a stream of several is cover art; of equal streams, the one with more frames is read.
    """
    most_frames = max(stream.frames for stream in container.streams.video)

    def score(stream: av.VideoStream) -> tuple[int, int]:
        if stream.disposition & ATTACHED_PICTURE or stream.frames == 1 < most_frames:
            return 1, 0
        context = stream.codec_context
        pixels = 0 if context is None else context.width * context.height
        return pixels + DEFAULT_SCORE * bool(stream.disposition & DEFAULT_STREAM), stream.frames

    return max(container.streams.video, key=score)  # the first one of the best


def count_ignored_streams(container: av.container.InputContainer) -> int:
    """Return the number of video streams besides the one that is read, without cover art."""
    chosen = find_video_stream(container)
    others = (stream for stream in container.streams.video if stream is not chosen)
    covers = (stream.disposition & ATTACHED_PICTURE or stream.frames == 1 < chosen.frames for stream in others)
    return sum(not cover for cover in covers)


def decode(
    path: Path, container: av.container.InputContainer, start: int = 0, needed: int | None = None
) -> Iterator[av.VideoFrame]:
    """Yield the frames of a video file; raise `InputError` where it is damaged or cut off.

    ``start`` is the time to seek. Before the time ``needed``, only frames that others refer to are decoded. Both are by
    the file's clock.
    """
    import av

    stream, index, end = find_video_stream(container), 0, Fraction(0)
    rate, first, is_damaged = read_rate(stream), Fraction(0), False
    last: int | None = None
    damaged: dict[int | None, int] = {}
    failure: Exception | None = None
    stream.thread_type = "FRAME"  # with threads for slices, frames that the decoder concealed are not marked
    if container.format.name in FORMATS_WITHOUT_DURATION:  # several threads may mark the last frame too late
        stream.codec_context.thread_count = 1
    try:
        if start:
            container.seek(start, stream=stream)
        for packet in demux(container):
            # an AV1 decoder would keep the value that it is opened with
            early = needed is not None and packet.pts is not None and packet.pts < needed
            stream.codec_context.skip_frame = "NONREF" if early and stream.codec_context.is_open else "DEFAULT"
            last = packet.pts if packet.size else last
            is_damaged |= packet.is_corrupt
            for frame in packet.decode():
                if frame.is_corrupt:
                    damaged[frame.pts] = index
                time = read_time(frame) or end
                first = first if index else time
                end = max(end, time + frame.duration * (frame.time_base or 0))
                yield frame
                index += 1
    except (av.FFmpegError, OSError) as error:
        failure = error
    if failure is None and last in damaged and container.format.name in FORMATS_WITHOUT_DURATION:
        raise InputError(f"cut off within frame {damaged[last]}", subject=path, remedy="copy it again")
    stated_end = read_end(container)
    missing_time, num_missing = stated_end - end, round((stated_end - first) * rate) - index
    missing_frames = format_count(max(0, num_missing), "frame")
    if index and (missing := count_missing_bytes(path, container)):
        problem = f"cut off after frame {index - 1}, at least {missing} bytes are missing ({missing_frames})"
        raise InputError(problem, subject=path, remedy="copy it again") from failure
    if failure is not None:
        raise decode_error(path, index, failure) from failure
    # FFmpeg ends a Matroska file at damage between its frames as at its end.
    is_matroska = container.format.name.startswith("matroska")
    if index and is_matroska and missing_time > DURATION_TOLERANCE + 2 / rate:
        problem = f"damaged after frame {index - 1}, {float(missing_time):.1f} s are missing ({missing_frames})"
        raise InputError(problem, subject=path, remedy="copy it again")
    num_lost = round((end - first) * rate) - index
    if is_damaged and num_lost > 0 and not start and needed is None:
        problem = f"damaged packets, {format_count(num_lost, 'frame')} lost"
        raise InputError(problem, subject=path, remedy="copy it again")


def count_missing_bytes(path: Path, container: av.container.InputContainer) -> int:
    """Return the number of bytes that an MP4, MOV, AVI or Matroska file lacks by its header; 0 if unknown.

    FFmpeg reports the end of such files as for complete ones, and drops errors of the last frames if it decodes them in
    several threads.
    """
    end = 0
    if container.format.name.startswith("mov,"):
        entries = chain.from_iterable(stream.index_entries for stream in container.streams)
        end = max((entry.pos + entry.size for entry in entries), default=0)
    elif container.format.name == "avi":
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8)[4:], "little")
        end = 0 if length == UNKNOWN_LENGTH else length
    elif container.format.name.startswith("matroska"):
        with path.open("rb") as file:
            match = SEGMENT.match(file.read(128))
        if match:
            bits = 7 * len(match[1])
            length = int.from_bytes(match[1], "big") % (1 << bits)
            end = 0 if length == (1 << bits) - 1 else match.end() + length  # all ones: unknown, as of a live stream
    return max(0, end - path.stat().st_size)


def read_end(container: av.container.InputContainer) -> Fraction:
    """Return the time at which the video ends according to the header, by the file's clock; 0 if unknown."""
    stream = find_video_stream(container)
    if container.format.name == "avi":  # FFmpeg shortens the duration of a cut file
        return stream.frames / read_rate(stream)
    if container.format.name.startswith("mov,"):
        return ((stream.start_time or 0) + (stream.duration or 0)) * Fraction(stream.time_base or 0)
    if not container.format.name.startswith("matroska"):
        return Fraction(0)
    with suppress(ValueError):  # no tag, as of mkvmerge in a cut file
        hours, minutes, seconds = stream.metadata.get("DURATION", "").split(":")
        return 3600 * Fraction(hours) + 60 * Fraction(minutes) + Fraction(seconds)
    # the duration of the file is that of its longest stream
    return Fraction(container.duration or 0, 1_000_000) if len(container.streams) == 1 else Fraction(0)


def read_pixel_aspect(stream: av.VideoStream, frame: av.VideoFrame) -> Fraction:
    """Return width by height of a pixel of the frame as it is shown; 1 if unknown."""
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    return 1 / aspect if is_turned(frame) else aspect


def read_timecode(container: av.container.InputContainer, rate: Fraction) -> Timecode | None:
    """Return the time code of the first frame in the tags of a file; None if it has none."""
    streams = [find_video_stream(container), *container.streams]
    tags = [stream.metadata.get("timecode") for stream in streams] + [container.metadata.get("timecode")]
    with suppress(InputError):  # a code that its rate does not have
        return next((Timecode.parse(text, rate) for text in tags if text), None)
    return None


def _read_display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """Return a, b, c, d: pixel (x, y) is shown at (a x + c y, b x + d y), up to a shift."""
    entry: Any = frame.side_data.get("DISPLAYMATRIX")
    if entry is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(bytes(entry), dtype=np.int32)[:5].tolist()
    return a, b, c, d


def is_turned(frame: av.VideoFrame) -> bool:
    """Return whether a frame is shown with width and height exchanged."""
    a, b, _, _ = _read_display_matrix(frame)
    return abs(b) > abs(a)


def to_rgb(frame: av.VideoFrame) -> np.ndarray:
    """Return a frame as it is shown: H×W×3 uint8, turned and mirrored by its display matrix."""
    return apply_display_matrix(frame, frame.to_ndarray(format="rgb24"))


def to_deep_rgb(frame: av.VideoFrame) -> np.ndarray:
    """Return a frame of RGB or gray as `to_rgb`: uint16 with more than 8 bits, or float32 as stored."""
    name, depth = frame.format.name, max(component.bits for component in frame.format.components)
    if depth <= 8:
        return to_rgb(frame)
    is_planar = name.startswith(("gbr", "gray"))
    values = np.atleast_3d(frame.to_ndarray(format=None if is_planar else "rgb48le"))[..., :3]
    values = apply_display_matrix(frame, values if values.shape[2] == 3 else values.repeat(3, axis=2))
    if values.dtype.kind == "f" or not is_planar:
        return values
    return (values * (65535 / (2**depth - 1)) + 0.5).astype(np.uint16)


def is_rgb(frame: av.VideoFrame) -> bool:
    """Return whether a frame has RGB."""
    return bool(frame.format.is_rgb or frame.format.has_palette)


def is_gray(frame: av.VideoFrame) -> bool:
    """Return whether a frame has brightness only."""
    return frame.format.name.startswith(("gray", "ya", "mono"))


def apply_display_matrix(frame: av.VideoFrame, values: np.ndarray) -> np.ndarray:
    """Return values of a frame, H×W or H×W×C, turned and mirrored as it is shown."""
    a, b, c, d = _read_display_matrix(frame)
    if abs(b) > abs(a):
        values, a, d = values.swapaxes(0, 1), c, b
    return np.ascontiguousarray(values[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def demux(container: av.container.InputContainer) -> Iterator[av.Packet]:
    """Yield the packets of the video stream; raises `av.FFmpegError` for damaged ones.

    PyAV raises IndexError itself for packets of a stream that begins in mid-file, as damaged MPEG-TS has.
    """
    import av

    try:
        yield from container.demux(find_video_stream(container))
    except IndexError as error:
        raise av.InvalidDataError(av.error.tag_to_code(b"INDA"), "packet of an unknown stream") from error


def read_rate(stream: Any) -> Fraction:
    """Return the frames per second of a video stream."""
    rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
    return Fraction(rate if rate <= MAX_PLAUSIBLE_RATE else stream.guessed_rate or rate)


def read_time(frame: av.VideoFrame) -> Fraction | None:
    """Return the frame's time by its source's clock."""
    return frame.pts * frame.time_base if frame.pts is not None and frame.time_base else None


def next_time(times: list[Fraction], time: Fraction | None, rate: Fraction) -> Fraction:
    """Return the time of the frame after those with ``times``; by the rate if its own is unknown or not later."""
    if not times:
        return time or Fraction(0)
    return time if time is not None and time > times[-1] else times[-1] + 1 / rate


def require_decoder(container: av.container.InputContainer, subject: str, *, images: bool = True) -> None:
    """Raise and close a container without a video that this FFmpeg decodes; ``images``: accept images too."""
    problem = ""
    if not container.streams.video or (not images and NOT_VIDEO.fullmatch(container.format.name)):
        problem = "not a video; give a video file or a folder of frames" if container.streams else NO_FRAMES
    elif find_video_stream(container).codec_context is None:
        problem = "no decoder for its video; give H.264, for example"
    if problem:
        container.close()
        raise InputError(problem, subject=subject)


def decode_error(path: Path, index: int, error: BaseException) -> InputError:
    return InputError(
        f"frame {index} does not decode ({describe_error(error)})",
        subject=path,
        remedy="repair the file or cut it before",
    )
