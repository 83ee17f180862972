"""Syntax of ``[FRAME][:ID]=VALUE``, and of addresses and cameras as videos."""

from __future__ import annotations

import re
from typing import NamedTuple

ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.IGNORECASE)
"""address: protocol, and the rest"""
CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]*@")
"""name and password in an address"""
CAMERA_NUMBER = re.compile("[0-9]{1,2}", re.ASCII)
PLACE = re.compile(r"(?P<frame>\d{1,9})?(?::(?P<object_id>\d{1,9}))?", re.ASCII)


def strip_credentials(text: str) -> str:
    """Return a text, such as the name of a video, whose addresses are without names and passwords."""
    return CREDENTIALS.sub("", text)


class FrameObjectValue(NamedTuple):
    """A value with the frame and object that it is for; None: not given."""

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
    match = PLACE.fullmatch(head) if head and value else None
    if match is None:
        return FrameObjectValue(None, None, text)
    frame, object_id = (int(match[name]) if match[name] else None for name in ("frame", "object_id"))
    return FrameObjectValue(frame, object_id, value)
