"""Reading of images: 8 bits with Pillow, and more bits as stored (16-bit PNG, TIFF and EXR)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from aotlab.media.tiff import STARTS, TiffStack
from aotlab.utils.errors import InputError, missing_extra
from aotlab.utils.files import is_file
from aotlab.utils.image_files import MOST_PIXELS, open_image, reason_of

DEEP = ("I", "F")
"""prefixes of Pillow modes with more than 8 bits, which it clips at 255"""
EXR = b"v/1\x01"
"""first bytes of an EXR file"""
PNG = b"\x89PNG\r\n\x1a\n"
DEPTH = 24
"""offset of the bit depth in a PNG file"""


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


def kind_of(path: Path) -> str:
    """Return the kind of an image by its content: ``exr``, ``tiff``, ``png16``, or ``8 bits`` for all others."""
    if not is_file(path):
        return "8 bits"  # the 8-bit reader reports the error
    try:
        with path.open("rb") as file:
            start = file.read(DEPTH + 1)
    except OSError:
        return "8 bits"
    if start.startswith(EXR):
        return "exr"
    if start.startswith(STARTS):
        return "tiff"
    return "png16" if start.startswith(PNG) and start[DEPTH:] == b"\x10" else "8 bits"


def read_values(path: Path) -> np.ndarray:
    """Read an image as stored: H×W×C integers or floats with 1 to 3 channels.

    Raises:
        InputError: missing, incomplete, a stack, or the library for it is not installed.
    """
    kind = kind_of(path)
    if kind == "exr":
        return _read_exr(path)
    if kind == "png16":
        return _read_png(path)
    if kind == "8 bits":
        return read_image(path)
    stack = TiffStack(path)
    if stack.count > 1:
        raise InputError(f"{path}: holds {stack.count} images; give a stack by itself, not in a folder")
    return stack.read(0)


def _read_png(path: Path) -> np.ndarray:
    import cv2

    advice = "expected a whole PNG"
    with open_image(path, "image", advice) as image:
        image.load()  # OpenCV pads truncated files, Pillow raises
        grey = image.mode.startswith("I")
    flags = cv2.IMREAD_ANYDEPTH | (cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
    values = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags)
    if values is None or values.dtype != np.uint16:
        raise InputError(f"{path}: not a readable image (its 16 bits do not decode); {advice}")
    return values[..., None] if grey else np.ascontiguousarray(values[..., ::-1])


def _read_exr(path: Path) -> np.ndarray:
    """Return the display window of the first part; black outside the data window."""
    try:
        import OpenEXR
    except ModuleNotFoundError as error:
        raise InputError(f"{path}: {missing_extra('OpenEXR')}") from error
    try:
        with OpenEXR.File(str(path), header_only=True) as file:
            # first row and column, and those after the last
            stored, shown = (
                np.array(file.header()[name], np.int64)[:, ::-1] + [[0], [1]]
                for name in ("dataWindow", "displayWindow")
            )
        if (
            max(math.prod(np.maximum(0, end - start).tolist()) for start, end in (stored, shown))
            > MOST_PIXELS
        ):
            raise ValueError("it has too many pixels")
        with OpenEXR.File(str(path)) as file:
            values = _colours(file.channels())
    except Exception as error:  # the library raises many kinds of errors on broken files
        raise InputError(
            f"{path}: not a readable EXR ({reason_of(error)}); give a whole one with R, G, B or Y"
        ) from error
    result = np.zeros((*(shown[1] - shown[0]), values.shape[2]), values.dtype)
    start, end = np.maximum(stored[0], shown[0]), np.minimum(stored[1], shown[1])
    if (start < end).all():
        part, place = (tuple(map(slice, start - box[0], end - box[0])) for box in (stored, shown))
        result[place] = values[part]
    return result


def _colours(channels: dict[str, Any]) -> np.ndarray:
    """Return H×W×C of the channels; raise `ValueError` without colour or brightness."""
    for name in ("RGB", "RGBA", "Y", "YA"):
        if name in channels:
            return np.atleast_3d(channels[name].pixels)[..., : len(name.rstrip("A"))]
    raise ValueError(f"its channels are {', '.join(channels)}")
