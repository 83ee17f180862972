"""Written video files: H.264, and other codecs for outputs of plug-ins."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aotlab.utils.errors import InputError
from aotlab.utils.files import make_folder, require_regular_file, temporary_name, writing
from aotlab_video.sources.decoding import drop_messages
from aotlab_video.sources.plates import ColorTags

if TYPE_CHECKING:
    import av

TICK = Fraction(1, 120000)
"""Time base in seconds; frames at all usual rates, also 24000/1001, last a whole number of ticks."""
MAX_GAP = int(3600 / TICK)
"""Longest duration of a frame in ticks; MP4 stores 32 bits, almost ten hours."""


@dataclass(frozen=True)
class VideoEncoding:
    """A kind of video file."""

    codec: str
    """FFmpeg's name of the encoder."""
    pixel_format: str
    """FFmpeg's name of the format of frames."""
    options: Mapping[str, str]
    """Options of the encoder."""


H264 = VideoEncoding("libx264", "yuv420p", {"crf": "21", "preset": "superfast"})
"""For every player; even sizes only."""


class VideoWriter:
    """Write frames to a video file.

    H.264 in 4:2:0 needs even sizes: the last row or column of an odd size is repeated. `close` renames the file to its
    path, unless there were no frames.

    Args:
        path: the file, ending in .mp4 or .mov.
        rate: frames per second.
        size: (height, width) of every frame.
        encoding: codec of the file; None: `H264`.
        pixel_aspect: width by height of a pixel as players show it.
        color_tags: color primaries and transfer function of RGB frames, by FFmpeg's numbers.
        timecode: time code of the first frame written; empty: none is stored.
        comment: comment in the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        rate: Fraction,
        size: tuple[int, int],
        encoding: VideoEncoding = H264,
        pixel_aspect: Fraction = Fraction(1),
        color_tags: tuple[int, int] = (1, 1),
        timecode: str = "",
        comment: str = "",
    ) -> None:
        self.path, self.encoding = path, encoding
        self.rate = Fraction(rate)
        self.size = size
        height, width = size
        self._stored = (height + height % 2, width + width % 2) if encoding is H264 else size
        self._pixel_aspect, self._color_tags = pixel_aspect, ColorTags(*color_tags)
        self._timecode, self._comment = timecode, comment
        self._start_time = Fraction(0)  # seconds of the first frame written
        self._last_tick = -1  # tick of the newest frame
        self._skipped_ticks = 0  # ticks removed from gaps that were too long
        self._stack = ExitStack()
        self._container: Any = None
        self._stream: Any = None

    def close(self) -> None:
        """Complete the file and rename it to its path; raise `InputError` if it cannot be written."""
        import av

        with writing(self.path, av.FFmpegError), self._stack:
            if self._stream is not None:
                self._container.mux(self._stream.encode(None))
                self._container.close()
                os.replace(self._temporary, self.path)

    def drop(self) -> None:
        """Remove the incomplete file; a finished one is kept."""
        self._stack.close()

    def write(self, frame: np.ndarray, time: Fraction) -> None:
        """Append one frame, H×W×3 uint8 RGB.

        ``time``: seconds since the source's first frame. The file starts at the first frame written. Raises
        `InputError` if it cannot be written.
        """
        import av

        if self._stored != self.size:
            rows, columns = np.subtract(self._stored, self.size)
            frame = np.pad(frame, ((0, rows), (0, columns), (0, 0)), mode="edge")
        image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        image = image.reformat(format=self.encoding.pixel_format, dst_colorspace="ITU709")
        self.write_image(image, time, self._color_tags)

    def write_image(self, image: av.VideoFrame, time: Fraction, tags: ColorTags) -> None:
        """Append one frame in the pixel format of the encoding, with its colors, as `write` does."""
        import av

        image.color_primaries, image.color_trc, image.colorspace = tags  # ProRes takes those of frames
        with writing(self.path, av.FFmpegError):
            if self._stream is None:
                self._start_time = time
                self._start(image)
            tick = self._to_tick(time - self._start_time)
            image.pts, image.time_base, self._last_tick = tick, TICK, tick
            self._container.mux(self._stream.encode(image))

    def _to_tick(self, seconds: Fraction) -> int:
        """Return the time of a frame in ticks: strictly increasing, without gaps that MP4 cannot store.

        Clocks of cameras jump; the excess of a gap over `MAX_GAP` is subtracted from all later times.
        """
        tick = max(round(seconds / TICK) - self._skipped_ticks, self._last_tick + 1)
        excess = max(0, tick - self._last_tick - MAX_GAP)
        self._skipped_ticks += excess
        return tick - excess

    def _start(self, image: av.VideoFrame) -> None:
        import av

        codec = self.encoding.codec
        if codec not in av.codecs_available:
            raise InputError(
                f"this PyAV has no encoder {codec}", subject=self.path, remedy="pip install av, or write PNGs"
            )
        drop_messages()
        require_regular_file(self.path)
        self._temporary = make_folder(self.path.parent) / temporary_name(self.path)
        self._stack.callback(self._temporary.unlink, missing_ok=True)
        self._container = self._stack.enter_context(av.open(os.path.abspath(self._temporary), "w"))
        self._stream = self._container.add_stream(codec, rate=self.rate, options={**self.encoding.options})
        self._stream.pix_fmt = self.encoding.pixel_format
        self._stream.height, self._stream.width = self._stored
        if self._comment:
            self._container.metadata["comment"] = self._comment
        if self._timecode:
            self._stream.metadata["timecode"] = self._timecode
        context = self._stream.codec_context
        context.time_base, context.sample_aspect_ratio = TICK, self._pixel_aspect
        context.color_primaries, context.color_trc = image.color_primaries, image.color_trc
        context.colorspace, context.color_range = image.colorspace, image.color_range
