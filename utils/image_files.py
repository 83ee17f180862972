"""Opening picture files: whatever a decoder raises at a broken file becomes one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file

LOSSLESS = ("PNG", "BMP", "DIB", "GIF", "PPM", "TIFF", "SGI", "TGA", "PCX", "ICO", "QOI")
"""formats that give back the values that were stored; TIFF only with a compression that does"""
MOST_PIXELS = 2**28
"""of a picture that Pillow does not read, which has a bound of its own"""
LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")


@contextmanager
def open_picture(path: Path, kind: str, advice: str) -> Iterator[Image.Image]:
    """Yield the opened picture; its content decides the format, not the name's ending.

    Decode it within the block and do nothing else there: every error of the block becomes an `InputError`, as
    decoders raise all kinds of errors at broken files.

    Args:
        path: the file.
        kind: what messages call it: "mask", "picture".
        advice: what would be right, the end of each message.

    Raises:
        InputError: missing, or it cannot be opened or decoded.
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
    """What went wrong in a decoder, in one line and without the names of Python objects."""
    if isinstance(error, UnidentifiedImageError):
        return "in no picture format that is known here"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())


def is_lossless(image: Image.Image) -> bool:
    """Whether the format of an opened picture keeps every value as it was stored."""
    if image.format == "TIFF":
        return image.info.get("compression") not in LOSSY_TIFF
    return image.format in LOSSLESS
