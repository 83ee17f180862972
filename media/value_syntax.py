"""Syntax of ``[FRAME][:ID]=VALUE``."""

from __future__ import annotations

import re
from typing import NamedTuple

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
    """Split ``[FRAME][:ID]=VALUE``; any other text is a value without frame and object."""
    head, _, value = text.partition("=")
    match = FRAME_AND_OBJECT.fullmatch(head) if head and value else None
    if match is None:
        return FrameObjectValue(None, None, text)
    frame, object_id = (int(match[name]) if match[name] else None for name in ("frame", "object_id"))
    return FrameObjectValue(frame, object_id, value)
