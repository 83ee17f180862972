"""Frames as users name them: by index, by the number in a file name, or by time code."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction

from aotlab.utils.errors import InputError, require
from aotlab_video.masks.regions import VideoInfo
from aotlab_video.sources.frames import FrameSource
from aotlab_video.sources.numbers import trailing_numbers
from aotlab_video.sources.timecode import Timecode


class FrameNumbers:
    """Numbers and time codes of the frames of a video.

    A user's number of a frame is its index, or with ``by_name`` the number at the end of its file name. Time codes
    count from that of the source, or from 00:00:00:00 if it states none.

    Raises:
        InputError: ``by_name`` without file names that end in distinct numbers.
    """

    def __init__(self, video: FrameSource | VideoInfo, *, by_name: bool = False) -> None:
        self._video = video
        self._numbers = _read_numbers(video) if by_name else None

    def index(self, frame: int | str, name: str = "frame") -> int:
        """Return the index of a frame; raise `InputError` about ``name`` if the video does not have it."""
        index = self.find(frame)
        # every video has a first frame; the length of a file is read from all of it
        has_frame = index == 0 or (index > 0 and (self._video.length is None or index < self._video.length))
        if not has_frame:
            last = None if self._video.length is None else self._video.length - 1
            kind = "time codes" if isinstance(frame, str) else "frames"
            problem = f"not in the video, which has {kind} {self.describe(0, last, like=frame)}"
            raise InputError(f"{problem}{self.explain_missing(frame)}", subject=f"{name} {frame}")
        return index

    def find(self, frame: int | str) -> int:
        """Return the index of a number or time code, which may be beyond the last frame; -1 without such a frame."""
        if isinstance(frame, str):
            return max(-1, self._parse_timecode(frame).count - self._first_timecode.count)
        if self._numbers is None:
            return frame
        return self._numbers.index(frame) if frame in self._numbers else -1

    def number(self, index: int) -> int:
        """Return the user's number of a frame."""
        return index if self._numbers is None else self._numbers[index]

    def describe(self, first: int, last: int | None, *, like: int | str = 0) -> str:
        """Return two indices as text, named ``like`` a number or time code; None: the last frame of a stream."""
        code = self._first_timecode
        names = [code + index if isinstance(like, str) else self.number(index) for index in (first, last or 0)]
        return f"{names[0]} to {'the end' if last is None else names[1]}"

    def explain_missing(self, frame: int | str) -> str:
        """Return a remark on an index that is the number of a file, or a number between those of two; else ""."""
        if not isinstance(frame, int) or (self._numbers is None and 0 <= frame < (self._video.length or 0)):
            return ""
        if self._numbers is None:
            with suppress(InputError):  # no numbers in names
                if frame in _read_numbers(self._video):
                    return f"; {frame} is a number of a file name, so give --frame-numbers file"
            return ""
        before = max((other for other in self._numbers if other < frame), default=None)
        after = min((other for other in self._numbers if other > frame), default=None)
        is_gap = before is not None and after is not None
        return f", but none between {before} and {after}" if is_gap else ""

    def _parse_timecode(self, text: str) -> Timecode:
        """Return a user's time code; a colon before the frames also means drop-frame if the video has it."""
        stated, is_drop = self._stated_timecode, not {*text}.isdisjoint(";.")
        completed = ";".join(text.rsplit(":", 1)) if stated and stated.drop and not is_drop else text
        code = Timecode.parse(completed, Fraction(self._video.rate))
        is_wrong = is_drop and not (code.drop and (stated is None or stated.drop))
        problem = "drop-frame, but the time codes of the video are not"
        require(not is_wrong, problem, subject=f"time code {text}", remedy="write a colon before the frames")
        return code

    @property
    def _stated_timecode(self) -> Timecode | None:
        source = self._video.source if isinstance(self._video, VideoInfo) else self._video
        return None if source is None else source.timecode

    @property
    def _first_timecode(self) -> Timecode:
        """Time code of the video's first frame: 00:00:00:00 if it states none."""
        return self._stated_timecode or Timecode.parse("00:00:00:00", Fraction(self._video.rate))


def _read_numbers(video: FrameSource | VideoInfo) -> list[int]:
    """Return the numbers at the end of file names; raise `InputError` if they are missing or not distinct."""
    info = video if isinstance(video, VideoInfo) else VideoInfo.from_source(video)
    names: Sequence[str] = info.frame_names or ("",)
    numbers = trailing_numbers(names)
    if len({*numbers}) < len(names):
        raise InputError(
            "not an image folder whose file names end in different numbers",
            subject=video.name,
            remedy="count frames from 0",
        )
    return numbers
