"""Image files of 8 bits a channel."""

import logging
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from aotlab.utils.errors import InputError, is_out_of_memory
from aotlab.utils.files import describe_error, reading, require_file
from aotlab.utils.text import shorten

log = logging.getLogger(__name__)

LOSSLESS_FORMATS = ("PNG", "BMP", "DIB", "GIF", "PPM", "TIFF", "SGI", "TGA", "PCX", "ICO", "QOI")
"""Lossless formats; TIFF, and also WebP, only with a lossless compression."""
IMAGE_FORMATS = (*LOSSLESS_FORMATS, "JPEG", "JPEG2000", "WEBP", *["AVIF"] * ("avif" in features.get_supported()))
"""Formats that may be opened; for some others, such as EPS, Pillow runs external programs."""
DAMAGE_ERRORS = (Image.DecompressionBombError, RuntimeError, SyntaxError, struct.error, zlib.error)
"""Errors of Pillow for most damaged images, besides `OSError` and `ValueError`."""
DECODER_ERRORS = (*DAMAGE_ERRORS, ArithmeticError, AttributeError, LookupError, TypeError)
"""Errors of Pillow, tifffile and OpenEXR for damaged images; only for blocks that call nothing else."""
ORIENTATION = 0x0112
"""EXIF tag."""


def decode_image(source: Path | BinaryIO) -> Image.Image:
    """Open an image of `IMAGE_FORMATS`; the content determines the format, not the suffix.

    Raises `OSError` or `ValueError` for a damaged image, and `ValueError` for a TIFF with an orientation, which only
    Pillow would apply.
    """
    try:
        with _decoding():
            image = Image.open(source, formats=IMAGE_FORMATS)
    except UnidentifiedImageError as error:  # its message names Python objects
        raise ValueError("unknown image format") from error
    if image.format == "TIFF" and _read_orientation(image) != 1:
        raise ValueError("a TIFF with an orientation; save it upright")
    return image


def decode_pixels(image: Image.Image, mode: str | None = None, *, page: int | None = None) -> np.ndarray:
    """Return the pixels of an opened image; raises `OSError` or `ValueError` if it is damaged.

    Args:
        mode: Pillow's mode of the result; None: as stored.
        page: page of an image with several; None: the current one.
    """
    with _decoding():
        if page is not None:
            image.seek(page)
        return np.array(image if mode is None else image.convert(mode))


def count_pages(image: Image.Image) -> int:
    """Return the number of pages of an opened image; raises `OSError` or `ValueError` if it is damaged."""
    with _decoding():
        return int(getattr(image, "n_frames", 1))


def _read_orientation(image: Image.Image) -> Any:
    with _decoding():
        return image.getexif().get(ORIENTATION, 1)


@contextmanager
def _decoding() -> Iterator[None]:
    """Raise errors of the block, which calls nothing but Pillow, as `ValueError`."""
    try:
        yield
    except DECODER_ERRORS as error:
        if is_out_of_memory(error):
            raise
        raise ValueError(describe_error(error)) from error


@contextmanager
def open_image(path: Path, remedy: str = "restore it, or save it again") -> Iterator[Image.Image]:
    """Yield an image; raise `InputError`, which ends with ``remedy``, if it does not open or decode in the block."""
    require_file(path, remedy)
    with reading(path, remedy, *DAMAGE_ERRORS), decode_image(path) as image:
        yield image


def parse_png_depth(content: bytes) -> int:
    """Return the bits per channel of a PNG from its first 25 bytes or more, which Pillow may change; else 0."""
    return content[24] if content.startswith(b"\x89PNG\r\n\x1a\n") and len(content) >= 25 else 0


def read_image(path: Path) -> np.ndarray:
    """Read an 8-bit image upright as H×W×3 uint8 RGB; images with more bits are refused, as they need levels."""
    with open_image(path) as image:
        # decoders fill the rest of a truncated file with gray
        if image.format in ("JPEG", "MPO") and not _has_jpeg_end(path.read_bytes()):
            raise ValueError("file is truncated")
        if image.mode.startswith(("I", "F")):  # Pillow clips these at 255
            raise InputError("has more than 8 bits a channel", subject=path, remedy="convert all images with one range")
        return apply_orientation(decode_pixels(image, "RGB"), image, path.parent)


def _has_jpeg_end(content: bytes) -> bool:
    """Return whether a JPEG has an end marker after its first scan; bytes after the end are ignored."""
    place = 2
    while content[place + 1 : place + 2] not in (b"", b"\xda"):  # skip segments, of which one may hold a thumbnail
        is_fill = content[place + 1] == 0xFF
        place += 1 if is_fill else 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return b"\xff\xd9" in content[place:]  # the marker does not occur in compressed data


def apply_orientation(pixels: np.ndarray, image: Image.Image, folder: Path) -> np.ndarray:
    """Return H×W×C pixels upright by the EXIF orientation of their image; it is logged once for a folder."""
    orientation = _read_orientation(image)
    if orientation not in range(2, 9):
        return pixels
    _log_orientation(folder)
    if orientation in (2, 3, 7, 8):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 6, 7):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels.swapaxes(0, 1) if orientation >= 5 else pixels)


@cache
def _log_orientation(folder: Path) -> None:
    log.warning("%s: images are turned by their EXIF orientation; masks must match the upright images", folder)


def to_array(name: str, value: Any) -> np.ndarray:
    """Return an array, tensor on the CPU, image or list as an array; ``name``: the value, for messages."""
    try:
        return np.asarray(value)
    # ragged lists, tensors on a GPU, broken images
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        raise InputError(
            f"expected an array, got {type(value).__name__} ({shorten(error, 200)})", subject=name
        ) from error


def require_image_size(image: np.ndarray, size: tuple[int, int], subject: object, other: str) -> np.ndarray:
    """Return an image H×W or H×W×C; raise `InputError` unless it has the size (height, width) of ``other``."""
    require_same_size(image.shape[:2], size, subject, other)
    return image


def require_same_size(found: Sequence[int], size: Sequence[int], subject: object, other: str) -> None:
    """Raise `InputError` unless a size (height, width) is that of ``other``."""
    if tuple(found) != tuple(size):
        problem = f"{found[1]}×{found[0]}, but {other} is {size[1]}×{size[0]}"
        raise InputError(problem, subject=subject, remedy="give one of that size")
