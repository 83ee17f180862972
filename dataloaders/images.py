"""Reading pictures."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from aotlab.utils.errors import InputError
from aotlab.utils.masks import UNREADABLE


def read_image(path: Path) -> np.ndarray:
    """Read a picture as H×W×3 uint8 RGB; its content decides the format, not the name's ending.

    Raises:
        InputError: missing, or not a whole picture.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such picture; expected a JPEG or PNG file")
    try:
        content = path.read_bytes()
        with Image.open(BytesIO(content)) as image:
            require_end(content, image)
            return np.array(image.convert("RGB"))
    except UNREADABLE as error:
        raise InputError(
            f"{path}: cannot be read as a picture ({error}); expected a whole JPEG or PNG"
        ) from error


def require_end(content: bytes, image: Image.Image) -> None:
    """Check that a JPEG goes on to its end marker. The decoder does not: it paints what is missing grey.

    Args:
        content: the file.
        image: the same, opened.

    Raises:
        ValueError: the file was cut off, and filled up with something else.
    """
    if image.format not in ("JPEG", "MPO"):
        return
    # Within the compressed data neither marker can occur; a thumbnail before it has an end marker of its own.
    start_of_scan, end_of_image = content.rfind(b"\xff\xda"), content.rfind(b"\xff\xd9")
    if end_of_image < start_of_scan:
        raise ValueError("the JPEG has no end; it was cut off")
