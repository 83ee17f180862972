"""Part of a video to track, and frame numbers as given by people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from aotlab.media.video import FrameSource, ImageFrames
from aotlab.utils.errors import InputError


@dataclass(frozen=True)
class FrameRange:
    """Range of frame indices, both ends included."""

    first: int = 0
    last: int | None = None
    """None: up to the end of the video"""

    def __contains__(self, index: int) -> bool:
        return index >= self.first and (self.last is None or index <= self.last)

    def count(self, length: int | None) -> int | None:
        """Return the number of frames of a video with ``length`` frames; None if unknown."""
        ends = [end for end in (length, None if self.last is None else self.last + 1) if end is not None]
        return min(ends) - self.first if ends else None

    def frames(self, source: FrameSource) -> Iterator[tuple[int, np.ndarray]]:
        """Yield index and image; frames of image sequences before the first one are not read."""
        if isinstance(source, ImageFrames):
            stop = self.first + (self.count(source.length) or 0)
            return ((index, source.read(index)) for index in range(self.first, stop))
        return islice(enumerate(source), self.first, None if self.last is None else self.last + 1)


ALL_FRAMES = FrameRange()


class FrameNumbers:
    """Frame numbers of a video as given by people: indices, or the numbers at the end of file names.

    Args:
        source: the video.
        by_name: use the numbers of file names, which only image folders have.

    Raises:
        InputError: with ``by_name``, a name without a number, or two names with the same one.
    """

    def __init__(self, source: FrameSource, *, by_name: bool = False) -> None:
        self._source = source
        self._numbers: list[int] | None = None
        if by_name and isinstance(source, ImageFrames):
            stems = [source.stem(index) for index in range(source.length or 0)]
            endings = [re.search(r"[0-9]{1,9}$", stem) for stem in stems]
            self._numbers = [int(ending[0]) for ending in endings if ending]
            if len(set(self._numbers)) < len(stems):
                raise InputError(
                    f"{source.name}: its file names do not end in different numbers; count frames from 0"
                )

    def index(self, number: int) -> int:
        """Return the index of a frame; raise `InputError` if no file name has this number."""
        if self._numbers is None:
            return number
        if number not in self._numbers:
            raise InputError(
                f"{self._source.name}: no frame is numbered {number}; its file names have {self._numbers[0]} to "
                f"{self._numbers[-1]}"
            )
        return self._numbers.index(number)

    def number(self, index: int) -> int:
        """Return the number of the frame with this index."""
        return index if self._numbers is None else self._numbers[index]

    def range(self, start: int | None, end: int | None) -> FrameRange:
        """Return the range from frame number ``start`` to ``end``; None: the first or last frame.

        Raises:
            InputError: the range is empty, or not in the video.
        """
        first = 0 if start is None else self.index(start)
        last = None if end is None else self.index(end)
        length = self._source.length
        if length is not None and max(first, last or 0) >= length:
            raise InputError(
                f"{self._source.name}: holds {length} frames; give a start and end from 0 to {length - 1}"
            )
        if last is not None and last < first:
            raise InputError(f"start {start}, end {end}: no frames; give a start before the end")
        return FrameRange(first, last)
