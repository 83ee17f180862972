"""Reading of 8-bit images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from aotlab.utils.errors import InputError
from aotlab.utils.image_files import open_image

DEEP = ("I", "F")
"""prefixes of Pillow modes with more than 8 bits, which it clips at 255"""


def read_image(path: Path) -> np.ndarray:
    """Read an image as H×W×3 uint8 RGB; its content determines the format, not its suffix.

    Raises:
        InputError: missing, incomplete, or more than 8 bits per channel, which needs levels.
    """
    with open_image(path, "image", "expected a whole JPEG or PNG") as image:
        require_end(path, image)
        if image.mode.startswith(DEEP):
            raise InputError(
                f"{path}: has more than 8 bits a channel; convert it with one range for all images"
            )
        return np.array(image.convert("RGB"))


def require_end(path: Path, image: Image.Image) -> None:
    """Check that a JPEG has its end marker; decoders fill missing parts with grey.

    Raises:
        ValueError: the file is truncated.
    """
    if image.format not in ("JPEG", "MPO"):
        return
    content = path.read_bytes()
    # Neither marker can occur in compressed data; an embedded thumbnail has a separate end marker.
    start_of_scan, end_of_image = content.rfind(b"\xff\xda"), content.rfind(b"\xff\xd9")
    if end_of_image < start_of_scan:
        raise ValueError("the JPEG has no end; it was cut off")
