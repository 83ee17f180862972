"""Image files of 8 bits a channel, and the images of a folder."""

import logging
import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from aotlab.media.matching import (
    IMAGE_SUFFIXES,
    OVERLAY_ENDING,
    VIDEO_SUFFIXES,
    list_frame_files,
    list_image_files,
    require_signs,
)
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import MALFORMED, reading, require_file
from aotlab.utils.text import shorten

log = logging.getLogger(__name__)

LOSSLESS_FORMATS = ("PNG", "BMP", "DIB", "GIF", "PPM", "TIFF", "SGI", "TGA", "PCX", "ICO", "QOI")
"""Lossless formats; TIFF, and also WebP, only with a lossless compression."""
IMAGE_FORMATS = (*LOSSLESS_FORMATS, "JPEG", "JPEG2000", "WEBP", *["AVIF"] * ("avif" in features.get_supported()))
"""Formats that may be opened; for some others, such as EPS, Pillow runs external programs."""
LOSSY_TIFF_COMPRESSIONS = ("jpeg", "tiff_jpeg", "webp")
DECODER_ERRORS = (Image.DecompressionBombError, RuntimeError, SyntaxError, struct.error, zlib.error, *MALFORMED)
"""Errors of Pillow, tifffile and OpenEXR for damaged images, besides `OSError` and `ValueError`."""
ORIENTATION = 0x0112
"""EXIF tag."""


def decode_image(source: Path | BinaryIO) -> Image.Image:
    """Open an image of `IMAGE_FORMATS`; the content determines the format, not the suffix.

    Raises `OSError`, `ValueError` or one of `DECODER_ERRORS` for a damaged image, and `ValueError` for a TIFF with an
    orientation, which only Pillow would apply.
    """
    try:
        image = Image.open(source, formats=IMAGE_FORMATS)
    except UnidentifiedImageError as error:  # its message names Python objects
        raise ValueError("unknown image format") from error
    if image.format == "TIFF" and image.getexif().get(ORIENTATION, 1) != 1:
        raise ValueError("a TIFF with an orientation; save it upright")
    return image


@contextmanager
def open_image(path: Path, remedy: str = "restore it, or save it again") -> Iterator[Image.Image]:
    """Yield an image; raise `InputError`, which ends with ``remedy``, if it does not open or decode in the block."""
    require_file(path, remedy)
    with reading(path, remedy, *DECODER_ERRORS), decode_image(path) as image:
        yield image


def parse_png_depth(content: bytes) -> int:
    """Return the bits per channel of a PNG from its first 25 bytes or more, which Pillow may change; else 0."""
    return content[24] if content.startswith(b"\x89PNG\r\n\x1a\n") and len(content) >= 25 else 0


def is_lossless(path: Path, image: Image.Image) -> bool:
    """Return whether an opened image is compressed without losses."""
    if image.format == "TIFF":
        return image.info.get("compression") not in LOSSY_TIFF_COMPRESSIONS
    if image.format == "WEBP":
        return b"VP8 " not in path.read_bytes()  # the type of lossy chunks
    return image.format in LOSSLESS_FORMATS


def read_image(path: Path) -> np.ndarray:
    """Read an 8-bit image upright as H×W×3 uint8 RGB; images with more bits are refused, as they need levels."""
    with open_image(path) as image:
        # decoders fill the rest of a truncated file with gray
        if image.format in ("JPEG", "MPO") and not _has_jpeg_end(path.read_bytes()):
            raise ValueError("file is truncated")
        if image.mode.startswith(("I", "F")):  # Pillow clips these at 255
            raise InputError("has more than 8 bits a channel", subject=path, remedy="convert all images with one range")
        return apply_orientation(np.array(image.convert("RGB")), image, path.parent)


def _has_jpeg_end(content: bytes) -> bool:
    """Return whether a JPEG has an end marker after its first scan; bytes after the end are ignored."""
    place = 2
    while content[place + 1 : place + 2] not in (b"", b"\xda"):  # skip segments, of which one may hold a thumbnail
        is_fill = content[place + 1] == 0xFF
        place += 1 if is_fill else 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return b"\xff\xd9" in content[place:]  # the marker does not occur in compressed data


def apply_orientation(pixels: np.ndarray, image: Image.Image, folder: Path) -> np.ndarray:
    """Return H×W×C pixels upright by the EXIF orientation of their image; it is logged once for a folder."""
    orientation = image.getexif().get(ORIENTATION, 1)
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


def list_images(folder: Path) -> list[Path]:
    """Return the frames of a folder in natural order, without masks."""
    images = list_frame_files(folder)
    videos = list_image_files(folder, VIDEO_SUFFIXES)
    if videos and len(videos) >= len(images):
        raise InputError(
            "contains videos, not frames",
            subject=folder,
            remedy=f"give one, such as {videos[0]}, or track all with --jobs",
        )
    require(images, "contains no frames", subject=folder, remedy=f"give a folder of {', '.join(IMAGE_SUFFIXES)} files")
    counts = Counter(path.suffix.lower() for path in images)
    # If there are as many JPEG as PNG files, the JPEG files are the frames and the PNG files their masks.
    main_suffix = min(counts, key=lambda suffix: (-counts[suffix], IMAGE_SUFFIXES.index(suffix)))
    frames = [path for path in images if path.suffix.lower() == main_suffix or read_mode(path) != "P"]
    stem, count = Counter(path.stem for path in frames).most_common(1)[0]
    remedy = "move those that are no frames, such as masks, to another folder"
    require(count == 1, f"{count} images are named {stem}", subject=folder, remedy=remedy)
    require_signs([path.stem for path in frames])
    return frames


def warn_about_mixed_images(folder: Path, frames: Sequence[Path]) -> None:
    """Log that the frames of a folder that `list_images` returns lie beside masks, or have several formats."""
    kept = set(frames)
    others = (path for path in list_image_files(folder) if path not in kept)
    mask = next((path for path in others if not path.name.endswith(OVERLAY_ENDING)), None)
    counts = Counter(path.suffix.lower() for path in frames)
    if mask is not None:
        log.warning("%s: %s has a palette, like a mask; ignored", folder, mask.name)
    elif len(counts) > 1:
        text = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common())
        log.warning("%s: all images are frames: %s", folder, text)


def read_mode(path: Path) -> str:
    """Return Pillow's mode of an image, such as P for a palette; empty if the file is not readable."""
    with suppress(InputError), open_image(path) as image:
        return image.mode
    return ""
