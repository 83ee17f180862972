"""When the frames of a video are shown."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av

PEEK = 200
"""Packets that are looked at to tell whether the frame rate varies."""


class Times:
    """Seconds from the first frame of frames that were read, for files whose rate varies; others need no list."""

    def __init__(self, rate: Fraction, variable: bool) -> None:
        self._rate, self._variable = rate, variable
        self._seconds: list[Fraction] = []

    def __getitem__(self, index: int) -> Fraction:
        return self._seconds[index] - self._seconds[0] if self._variable else index / self._rate

    def add(self, seconds: Fraction | None) -> None:
        """Note the next frame's time by the clock of its source; None where it has none."""
        if self._variable:
            behind = self._seconds[-1] + 1 / self._rate if self._seconds else Fraction(0)
            self._seconds.append(behind if seconds is None else seconds)

    def clear(self) -> None:
        """Start again."""
        self._seconds = []


def rate_of(stream: Any) -> Fraction:
    """Frames per second of a video stream.

    Some files (one frame, raw streams) state no rate; any serves then, 25 is FFmpeg's own guess.
    """
    return Fraction(stream.average_rate or stream.guessed_rate or 25)


def is_variable(container: av.container.InputContainer, rate: Fraction) -> bool:
    """Whether the first frames come at uneven times, or at another rate than the file states; reads on."""
    import av

    stream = container.streams.video[0]
    if stream.time_base is None:
        return False
    times = []
    # a packet that cannot be read ends the peek; decoding names it by its frame
    with suppress(av.FFmpegError):
        for packet in islice(container.demux(stream), PEEK):
            if packet.pts is not None:
                times.append(packet.pts * stream.time_base)
    times.sort()
    slack = max(stream.time_base * 3 / 2, 1 / rate / 100)
    # the last ones may lack neighbours that are stored behind them
    steps = [later - earlier for earlier, later in pairwise(times[: max(len(times) * 3 // 4, 3)])]
    return any(abs(step - 1 / rate) > slack for step in steps)


def seconds_of(frame: av.VideoFrame) -> Fraction | None:
    """The frame's time by the clock of its source."""
    return None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
