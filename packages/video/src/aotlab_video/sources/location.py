"""Locations of videos: paths, URLs, cameras and standard input."""

import os
import re
import stat
from pathlib import Path
from typing import Literal, NamedTuple

from aotlab.utils.errors import require
from aotlab.utils.files import base_name
from aotlab.utils.text import shorten, strip_credentials

URL = re.compile(r"([a-z][a-z0-9+.-]+)://(.*)", re.IGNORECASE)
"""Protocol and rest of a URL; the protocol has two letters or more, as C://clip.mp4 is a path."""
CAMERA_NUMBER = re.compile("[0-9]{1,2}", re.ASCII)


class VideoLocation(NamedTuple):
    """Kind and location of a video."""

    kind: Literal["stored", "pipe", "stdin", "camera", "url"]
    """``stored``: a file or folder, which may be missing."""
    text: str
    """Path, URL, number or device file of a camera, or ``-`` for standard input."""

    @property
    def name(self) -> str:
        """Name of the folder, or of the file or URL without its suffix; ``camera0`` or ``stdin``."""
        if self.kind == "stdin":
            return "stdin"
        if self.kind == "camera" and CAMERA_NUMBER.fullmatch(self.text):
            return f"camera{self.text}"
        return base_name(Path(strip_credentials(self.text).partition("?")[0] if self.kind == "url" else self.text))


def locate_video(text: str | Path, folder: str | Path = "") -> VideoLocation:
    """Parse a video location; paths are relative to ``folder``, and ``file://`` URLs are paths.

    Raises `InputError` for a value that is not a path, a URL or the number of a camera.
    """
    problem = f"expected a path, a URL or the number of a camera, got {shorten(repr(text))}"
    require(isinstance(text, str | os.PathLike | int), problem, subject="video")
    text = str(text)
    url = URL.fullmatch(text)
    if url and url[1].lower() == "file":
        from urllib.request import url2pathname  # slow to import

        text = url2pathname(url[2])
    elif url:
        return VideoLocation("url", text)
    if text == "-":
        return VideoLocation("stdin", text)
    path = os.path.join(folder, text)
    if CAMERA_NUMBER.fullmatch(text) and not os.path.exists(path):
        return VideoLocation("camera", text)
    mode = os.stat(path).st_mode if os.path.exists(path) else 0
    if stat.S_ISCHR(mode):
        return VideoLocation("camera", path)
    return VideoLocation("pipe" if stat.S_ISFIFO(mode) else "stored", path)
