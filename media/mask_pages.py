"""Pages of mask images: TIFF stacks, and GIFs and other animations; each page is the mask of a frame."""

from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from aotlab.media.high_bit_depth import TiffStack
from aotlab.media.images import open_image
from aotlab.utils.errors import InputError


def count_pages(path: Path) -> int:
    """Return the number of pages of an image; 1 if it cannot be read."""
    try:
        with open_image(path) as image:
            return count_opened_pages(path, image)
    except InputError:  # the reader of its first page reports the error
        return 1


def count_opened_pages(path: Path, image: Image.Image) -> int:
    """Return the number of pages of an opened image; a stack of ImageJ may have one page for Pillow."""
    count = int(getattr(image, "n_frames", 1))
    if image.format == "TIFF" and count == 1 and find_spec("tifffile"):
        with suppress(InputError):
            return TiffStack(path).count
    return count


def require_page_count(path: Path, count: int, length: int | None) -> None:
    """Raise `InputError` unless an image has a page for each frame of a video; any number if ``length`` is None."""
    if length is not None and count != length:
        raise InputError(
            f"has {count} pages, but the video has {length} frames",
            subject=path,
            remedy="give a page for each frame, or images named by their frames",
        )


def read_page(path: Path, image: Image.Image, page: int) -> np.ndarray:
    """Return the ids (H×W) of a page of an opened image, as stored.

    Raises `ValueError` if a page of a GIF has a color that the first one lacks, and errors of the decoder.
    """
    if page >= getattr(image, "n_frames", 1):  # a stack of ImageJ
        values = TiffStack(path).read(page)
        return values[..., 0] if values.shape[2] == 1 else values
    palette = _list_colors(image)
    image.seek(page)
    if page == 0 or image.format != "GIF" or image.mode in ("P", "L"):
        return np.array(image)
    codes = _encode_colors(np.array(image.convert("RGB")))
    indices = {int(code): index for index, code in reversed([*enumerate(_encode_colors(palette))])}
    if not set(np.unique(codes).tolist()) <= indices.keys():
        raise ValueError(f"the colors of page {page} are not in the palette of the first page")
    found, inverse = np.unique(codes, return_inverse=True)
    return np.array([indices[int(code)] for code in found], np.uint8)[inverse].reshape(codes.shape)


def _list_colors(image: Image.Image) -> np.ndarray:
    """Return the color of each index of a page, N×3 uint8."""
    if image.mode == "P":
        return np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    return np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)


def _encode_colors(colors: np.ndarray) -> np.ndarray:
    """Return one integer for each color (…×3 uint8)."""
    return colors.astype(np.uint32) @ np.array((1 << 16, 1 << 8, 1), np.uint32)
