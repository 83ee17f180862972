"""Reading pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from aotlab.utils.errors import InputError
from aotlab.utils.image_files import open_picture

DEEP = ("I", "F")
"""what the modes of pictures begin with whose values Pillow cuts off at 255"""


def read_image(path: Path) -> np.ndarray:
    """Read a picture as H×W×3 uint8 RGB; its content decides the format, not the name's ending.

    Raises:
        InputError: missing, not a whole picture, or one of more than 8 bits, which depend on levels to be seen.
    """
    with open_picture(path, "picture", "expected a whole JPEG or PNG") as image:
        require_end(path, image)
        if image.mode.startswith(DEEP):
            raise InputError(
                f"{path}: has more than 8 bits a channel; convert it with one range for all pictures"
            )
        return np.array(image.convert("RGB"))


def require_end(path: Path, image: Image.Image) -> None:
    """Check that a JPEG goes on to its end marker. The decoder does not: it paints what is missing grey.

    Args:
        path: the file.
        image: the same, opened.

    Raises:
        ValueError: the file was cut off, and filled up with something else.
    """
    if image.format not in ("JPEG", "MPO"):
        return
    content = path.read_bytes()
    # Within the compressed data neither marker can occur; a thumbnail before it has an end marker of its own.
    start_of_scan, end_of_image = content.rfind(b"\xff\xda"), content.rfind(b"\xff\xd9")
    if end_of_image < start_of_scan:
        raise ValueError("the JPEG has no end; it was cut off")
