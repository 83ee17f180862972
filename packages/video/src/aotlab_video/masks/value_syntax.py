"""Syntax of frames, ``[FRAME][:ID]=VALUE`` and ``FRAME:ID``, and names of values."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from aotlab.utils.errors import InputError, require
from aotlab_video.sources.timecode import TIMECODE

MaskFormat = Literal["ids", "binary", "soft", "mots", "palette"]
"""Meaning of the pixels of mask images.

* ids: gray values or palette indices are object ids, and 255 in 8 bits is undecided; white in a black and white RGB
  image is 255.
* binary: all that is not black is object 1.
* soft: object 1 is where the gray value is above one half; soft edges keep the values.
* mots: ids of MOTS, 1000 times the class plus the object; 10000 is undecided.
* palette: the id is the place of the pixel's color in the palette of PASCAL VOC.
"""
START_NUMBER_OPTION = "--mask-start-number"
"""Option of commands that states the number of a video's first frame in files of masks."""
FORMAT_OPTION = "--mask-format"
"""Option of commands that states the format of mask images."""
FRAME = rf"-?\d{{1,9}}|{TIMECODE.pattern}"
FRAME_AND_OBJECT = re.compile(rf"(?P<frame>{FRAME})?(?::(?P<object_id>\d{{1,9}}))?", re.ASCII)


class PromptArgument(NamedTuple):
    """A mask, box or point with its frame and object; None if not given."""

    frame: int | str | None
    """Number or time code."""
    object_id: int | None
    value: str

    def __str__(self) -> str:
        """Return ``[FRAME][:ID]=VALUE``."""
        frame = "" if self.frame is None else str(self.frame)
        prefix = frame if self.object_id is None else f"{frame}:{self.object_id}"
        return f"{prefix}={self.value}" if prefix else self.value


def parse_frame(value: object, name: str = "frame") -> int | str:
    """Return the number of a frame, or its time code as text; raise `InputError` about ``name`` for any other value.

    A number may end in .0, as pandas writes numbers of a column with gaps.
    """
    text = str(value).strip()
    text = text if ":" in text else text.removesuffix(".0")
    expected = "expected a frame number or a time code, for example 100 or 01:00:10:12"
    require(re.fullmatch(FRAME, text, re.ASCII), expected, subject=f"{name} {text:.40}")
    return text if ":" in text else int(text)


def parse_frame_object(text: str) -> PromptArgument:
    """Split ``[FRAME][:ID]=VALUE``; any other text is a value without frame and object."""
    head, _, value = text.partition("=")
    match = FRAME_AND_OBJECT.fullmatch(head) if head and value else None
    if match is None:
        return PromptArgument(None, None, text)
    return PromptArgument(*_read_frame_object(match), value)


def parse_removal(value: str | tuple[int | str, int]) -> tuple[int | str, int]:
    """Return the frame and the object id of ``FRAME:ID``; raise `InputError` for any other value."""
    match = FRAME_AND_OBJECT.fullmatch(":".join(map(str, value)) if isinstance(value, tuple | list) else str(value))
    frame, object_id = _read_frame_object(match) if match else (None, None)
    if frame is None or not object_id:
        raise InputError("expected FRAME:ID, for example 30:2", subject=f"remove {value}"[:40])
    return frame, object_id


def _read_frame_object(match: re.Match[str]) -> tuple[int | str | None, int | None]:
    """Return frame and object id of `FRAME_AND_OBJECT`; None if not given."""
    frame, object_id = match["frame"], match["object_id"]
    return parse_frame(frame) if frame else None, int(object_id) if object_id else None
