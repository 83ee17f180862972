"""SMPTE time codes (ST 12-1): hours, minutes, seconds and frames."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from aotlab.utils.errors import require

TIMECODE = re.compile(r"([0-9]{1,2}):([0-5][0-9]):([0-5][0-9])([:;.])([0-9]{1,3})")
"""Syntax; a semicolon or a period before the frames means drop-frame."""


@dataclass(frozen=True)
class Timecode:
    """Time code of a frame. Drop-frame codes skip the first numbers of most minutes, so that they follow the clock."""

    count: int
    """Number of frames since 00:00:00:00."""
    base: int
    """Frames per second in the code: the frame rate, rounded."""
    drop: bool = False

    @classmethod
    def parse(cls, text: str, rate: Fraction) -> Timecode:
        """Return the time code of ``HH:MM:SS:FF``; raise `InputError` for any other text, or no such frame."""
        match, base = TIMECODE.fullmatch(text.strip()), max(1, round(rate))
        subject = f"time code {text:.40}"
        require(match, "expected hours:minutes:seconds:frames, for example 01:00:10:12", subject=subject)
        assert match is not None
        hours, minutes, seconds, frames = (int(match[group]) for group in (1, 2, 3, 5))
        drop = match[4] != ":" and base % 30 == 0
        require(frames < base, f"no such frame at {base} frames per second", subject=subject)
        skipped = drop and seconds == 0 and minutes % 10 and frames < base // 15
        first = f"{text.strip()[: -len(match[5])]}{base // 15:02d}"
        require(not skipped, "skipped by drop-frame time code", subject=subject, remedy=f"give {first}")
        total_minutes = 60 * hours + minutes
        count = (60 * total_minutes + seconds) * base + frames
        return cls(count - drop * (base // 15) * (total_minutes - total_minutes // 10), base, drop)

    def __add__(self, frames: int) -> Timecode:
        """Return the time code of a later frame; after 24 hours it begins again."""
        minutes = 24 * 60
        day = minutes * 60 * self.base - self.drop * (self.base // 15) * (minutes - minutes // 10)
        return replace(self, count=(self.count + frames) % day)

    def split(self) -> tuple[int, int, int, int]:
        """Return hours, minutes, seconds and frames."""
        count = self.count
        if self.drop:
            skipped, minute = self.base // 15, 60 * self.base
            tens, rest = divmod(count, 10 * minute - 9 * skipped)
            count += 9 * skipped * tens + skipped * max(0, (rest - skipped) // (minute - skipped))
        seconds, frames = divmod(count, self.base)
        return seconds // 3600, seconds // 60 % 60, seconds % 60, frames

    def __str__(self) -> str:
        hours, minutes, seconds, frames = self.split()
        return f"{hours:02d}:{minutes:02d}:{seconds:02d}{';' if self.drop else ':'}{frames:02d}"
