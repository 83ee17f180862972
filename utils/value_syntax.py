"""Syntax of ``[FRAME][:ID]=VALUE``, and of addresses and cameras as videos."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.IGNORECASE)
"""address: protocol, and the rest"""
CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]*@")
"""name and password in an address"""
CAMERA_NUMBER = re.compile("[0-9]{1,2}", re.ASCII)
FRAME_AND_OBJECT = re.compile(r"(?P<frame>\d{1,9})?(?::(?P<object_id>\d{1,9}))?", re.ASCII)


def strip_credentials(text: str) -> str:
    """Return a text, such as the name of a video, whose addresses are without names and passwords."""
    return CREDENTIALS.sub("", text)


class VideoLocation(NamedTuple):
    """Kind and location of a video."""

    kind: Literal["stored", "pipe", "stdin", "camera", "address"]
    """``stored``: a file or folder, which may be missing"""
    text: str
    """path, address, number or device file of a camera, or ``-`` for standard input"""


def locate_video(text: str | Path, folder: str | Path = "") -> VideoLocation:
    """Return what a text names as a video; paths are relative to ``folder``, and ``file://`` addresses are paths."""
    text = str(text)
    address = ADDRESS.fullmatch(text)
    if address and address[1].lower() == "file":
        from urllib.request import url2pathname  # slow to import

        text = url2pathname(urlsplit(text).path)
    elif address:
        return VideoLocation("address", text)
    if text == "-":
        return VideoLocation("stdin", text)
    path = Path(folder, text)
    if CAMERA_NUMBER.fullmatch(text) and not path.exists():
        return VideoLocation("camera", text)
    kind: Literal["stored", "pipe", "camera"] = "stored"
    if path.is_char_device():
        kind = "camera"
    elif path.is_fifo():
        kind = "pipe"
    return VideoLocation(kind, os.path.join(folder, text))


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
