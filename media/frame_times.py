"""Presentation times of video frames."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av

PEEK = 200
"""number of packets to inspect for a variable frame rate"""


class Times:
    """Times since the first frame in seconds, recorded for files with a variable rate."""

    def __init__(self, rate: Fraction, variable: bool) -> None:
        self._rate, self._variable = rate, variable
        self._seconds: list[Fraction] = []

    def __getitem__(self, index: int) -> Fraction:
        return self._seconds[index] - self._seconds[0] if self._variable else index / self._rate

    def add(self, seconds: Fraction | None) -> None:
        """Record the next frame's time by its source's clock; None if unknown."""
        if self._variable:
            behind = self._seconds[-1] + 1 / self._rate if self._seconds else Fraction(0)
            self._seconds.append(behind if seconds is None else seconds)

    def clear(self) -> None:
        """Reset the times."""
        self._seconds = []


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
