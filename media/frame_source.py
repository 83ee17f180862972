"""Sources of frames, and the times of their frames."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from aotlab.media.levels import Levels
from aotlab.media.sound import Sound

if TYPE_CHECKING:
    import av

PEEK = 200
"""number of packets to inspect for a variable frame rate"""


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

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames."""


class Times:
    """Recorded times since the first frame in seconds."""

    def __init__(self, rate: Fraction) -> None:
        self._rate = rate
        self._seconds: list[Fraction] = []

    def __getitem__(self, index: int) -> Fraction:
        return self._seconds[index] - self._seconds[0]

    def add(self, seconds: Fraction | None) -> None:
        """Record the next frame's time by its source's clock; None if unknown."""
        behind = self._seconds[-1] + 1 / self._rate if self._seconds else Fraction(0)
        self._seconds.append(behind if seconds is None else seconds)


def rate_of(stream: Any) -> Fraction:
    """Return the frames per second of a video stream.

    Files without a rate (single frames, raw streams) get 25, FFmpeg's default.
    """
    return Fraction(stream.average_rate or stream.guessed_rate or 25)


def is_variable(container: av.container.InputContainer, rate: Fraction) -> bool:
    """Return whether the first frames are unevenly spaced or differ from the stated rate; reads packets."""
    import av

    stream = container.streams.video[0]
    if stream.time_base is None:
        return False
    times = []
    # stop at an unreadable packet; decoding reports its frame
    with suppress(av.FFmpegError):
        for packet in islice(container.demux(stream), PEEK):
            if packet.pts is not None:
                times.append(packet.pts * stream.time_base)
    times.sort()
    slack = max(stream.time_base * 3 / 2, 1 / rate / 100)
    # the last packets may lack neighbours that are stored later
    steps = [later - earlier for earlier, later in pairwise(times[: max(len(times) * 3 // 4, 3)])]
    return any(abs(step - 1 / rate) > slack for step in steps)


def seconds_of(frame: av.VideoFrame) -> Fraction | None:
    """Return the frame's time by its source's clock."""
    return None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
