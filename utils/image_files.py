"""Opening of image files, with decoder errors as one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file

LOSSLESS = ("PNG", "BMP", "DIB", "GIF", "PPM", "TIFF", "SGI", "TGA", "PCX", "ICO", "QOI")
"""lossless formats; TIFF only with a lossless compression"""
MOST_PIXELS = 2**28
"""largest number of pixels of images that Pillow does not open; Pillow has its own limit"""
LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")


@contextmanager
def open_image(path: Path, kind: str, advice: str) -> Iterator[Image.Image]:
    """Yield the opened image; its content determines the format, not its suffix.

    Only decode inside the block: every error of the block becomes an `InputError`, as decoders raise many kinds of
    errors on broken files.

    Args:
        kind: name in messages, such as "mask" or "image".
        advice: remedy at the end of each message.

    Raises:
        InputError: missing, or not decodable.
    """
    if not is_file(path):
        raise InputError(f"{path}: no such {kind} file; {advice}")
    try:
        with Image.open(path) as image:
            yield image
    except InputError:
        raise
    except Exception as error:  # decoders raise all kinds of errors
        raise InputError(f"{path}: not a readable {kind} ({reason_of(error)}); {advice}") from error


def reason_of(error: BaseException) -> str:
    """Return the message of a decoder error in one line, without names of Python objects."""
    if isinstance(error, UnidentifiedImageError):
        return "in no image format that is known here"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())


def is_lossless(image: Image.Image) -> bool:
    """Return whether the format of an opened image is lossless."""
    if image.format == "TIFF":
        return image.info.get("compression") not in LOSSY_TIFF
    return image.format in LOSSLESS
