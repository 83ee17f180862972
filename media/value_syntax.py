"""Syntax of ``[FRAME][:ID]=VALUE`` and ``FRAME:ID``, and names of values."""

from __future__ import annotations

import re
from typing import NamedTuple

from aotlab.media.timecode import TIMECODE
from aotlab.utils.errors import InputError, require

INPUT_TRANSFORMS = ("linear", "srgb", "acescct", "logc3")
"""Names of `levels.CURVES`."""
FRAME_AND_OBJECT = re.compile(r"(?P<frame>\d{1,9})?(?::(?P<object_id>\d{1,9}))?", re.ASCII)


class FrameObjectValue(NamedTuple):
    """A value with its frame and object; None if not given."""

    frame: int | None
    object_id: int | None
    value: str

    def __str__(self) -> str:
        """Return ``[FRAME][:ID]=VALUE``."""
        frame = "" if self.frame is None else str(self.frame)
        prefix = frame if self.object_id is None else f"{frame}:{self.object_id}"
        return f"{prefix}={self.value}" if prefix else self.value


def parse_frame_object(text: str) -> FrameObjectValue:
    """Split ``[FRAME][:ID]=VALUE``; any other text is a value without frame and object.

    Raises `InputError` for a time code as FRAME, which only ``--start`` and ``--end`` take.
    """
    head, _, value = text.partition("=")
    is_timecode = value and TIMECODE.match(head)
    require(not is_timecode, "a time code, expected a frame number", subject=head, remedy="count frames from 0")
    match = FRAME_AND_OBJECT.fullmatch(head) if head and value else None
    if match is None:
        return FrameObjectValue(None, None, text)
    frame, object_id = (int(match[name]) if match[name] else None for name in ("frame", "object_id"))
    return FrameObjectValue(frame, object_id, value)


def parse_removal(value: str | tuple[int, int]) -> tuple[int, int]:
    """Return the frame and the object id of ``FRAME:ID``; raise `InputError` if these are not two whole numbers."""
    match = FRAME_AND_OBJECT.fullmatch(value if isinstance(value, str) else ":".join(map(str, value)))
    if match is None or not match["frame"] or not int(match["object_id"] or 0):
        raise InputError("expected FRAME:ID, for example 30:2", subject=f"remove {value}"[:40])
    return int(match["frame"]), int(match["object_id"])
