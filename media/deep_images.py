"""Images of more than 8 bits: 16-bit PNG, TIFF and EXR."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from aotlab.media.images import read_image
from aotlab.media.tiff import STARTS, TiffStack
from aotlab.utils.errors import InputError
from aotlab.utils.extras import missing_extra
from aotlab.utils.files import is_file
from aotlab.utils.image_files import MOST_PIXELS, open_image, reason_of

EXR = b"v/1\x01"
"""first bytes of an EXR file"""
PNG = b"\x89PNG\r\n\x1a\n"
DEPTH = 24
"""offset of the bit depth in a PNG file"""


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
            stored, shown = (_window(file.header()[name]) for name in ("dataWindow", "displayWindow"))
        if max(_pixels(stored), _pixels(shown)) > MOST_PIXELS:
            raise ValueError("it has too many pixels")
        with OpenEXR.File(str(path)) as file:
            values = _colours(file.channels())
    except Exception as error:  # the library raises many kinds of errors on broken files
        raise InputError(
            f"{path}: not a readable EXR ({reason_of(error)}); give a whole one with R, G, B or Y"
        ) from error
    return _moved(values, stored, shown)


def _colours(channels: dict[str, Any]) -> np.ndarray:
    """Return H×W×C of the channels; raise `ValueError` without colour or brightness."""
    for name in ("RGB", "RGBA", "Y", "YA"):
        if name in channels:
            values = np.asarray(channels[name].pixels)
            values = values[..., None] if values.ndim == 2 else values
            return values[..., : len(name.rstrip("A"))]
    raise ValueError(f"its channels are {', '.join(channels)}")


def _window(box: Any) -> tuple[int, int, int, int]:
    """Return top, left, bottom and right of a box in an EXR header, the last two exclusive."""
    (left, top), (right, bottom) = ((int(x), int(y)) for x, y in box)
    return top, left, bottom + 1, right + 1


def _pixels(box: tuple[int, int, int, int]) -> int:
    return max(0, box[2] - box[0]) * max(0, box[3] - box[1])


def _moved(values: np.ndarray, stored: tuple[int, ...], shown: tuple[int, ...]) -> np.ndarray:
    """Return the part of an image inside the display window."""
    if stored == shown:
        return values
    result = np.zeros((shown[2] - shown[0], shown[3] - shown[1], values.shape[2]), values.dtype)
    top, left = max(stored[0], shown[0]), max(stored[1], shown[1])
    bottom, right = min(stored[2], shown[2]), min(stored[3], shown[3])
    if bottom > top and right > left:
        part = values[top - stored[0] : bottom - stored[0], left - stored[1] : right - stored[1]]
        result[top - shown[0] : bottom - shown[0], left - shown[1] : right - shown[1]] = part
    return result
