"""Pages of mask images: TIFF stacks, and GIFs and other animations; each page is the mask of a frame."""

from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from aotlab.media.images import count_pages, decode_pixels, open_image
from aotlab.utils.errors import InputError
from aotlab_video.masks.regions import ParsedRegion
from aotlab_video.sources.high_bit_depth import TiffStack

COLOR_CODES = np.array((1 << 16, 1 << 8, 1), np.uint32)
"""Factors of red, green and blue whose sum is one integer for each color."""
Page = tuple[Path, int | None]
"""Image and its page; None: the only one."""


def list_pages(path: Path, length: int | None) -> dict[Page, ParsedRegion]:
    """Return the frames of the pages of an image; without a number if it has only one page or cannot be read.

    Raises `InputError` unless several pages are as many as the frames of the video; ``length`` None: any number.
    """
    count = 1
    with suppress(InputError), open_image(path) as image:  # the reader of the first page reports an error
        count = count_opened_pages(path, image)
    if count == 1:
        return {(path, None): ParsedRegion(None, None)}
    if length not in (None, count):
        raise InputError(
            f"has {count} pages, but the video has {length} frames",
            subject=path,
            remedy="give a page for each frame, or images named by their frames",
        )
    return {(path, page): ParsedRegion(page, None) for page in range(count)}


def count_opened_pages(path: Path, image: Image.Image) -> int:
    """Return the number of pages of an opened image; a stack of ImageJ may have one page for Pillow."""
    count = count_pages(image)
    if image.format == "TIFF" and count == 1 and find_spec("tifffile"):
        with suppress(InputError):
            return TiffStack(path).count
    return count


def read_page(path: Path, image: Image.Image, page: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the values (H×W) of a page of an opened image as stored, and the colors of its palette (N×3), if any.

    Images in color are H×W×3 uint8, with transparent pixels in black. Colors of a page of a GIF that its first page
    lacks follow from index 256 on. Raises `OSError` or `ValueError` for a damaged image.
    """
    if page >= count_pages(image):  # a stack of ImageJ
        values = TiffStack(path).read(page)
        return (values[..., 0] if values.shape[2] == 1 else values), None
    palette, has_palette = _list_colors(image), image.mode == "P"
    pixels = decode_pixels(image, page=page)
    if image.format != "GIF" and image.mode in ("RGB", "RGBA", "LA"):
        rgba = decode_pixels(image, "RGBA")
        return np.minimum(rgba[..., :3], rgba[..., 3:]), None
    if page == 0 or image.format != "GIF" or image.mode in ("P", "L"):
        return pixels, palette if has_palette else None
    pixels = decode_pixels(image, "RGB") @ COLOR_CODES
    codes = np.unique(pixels)
    known = (palette @ COLOR_CODES).tolist()
    known += [known[0]] * (256 - len(known))
    known += sorted({*codes.tolist()} - {*known})
    indices = {code: index for index, code in reversed([*enumerate(known)])}
    labels = np.array([indices[code] for code in codes.tolist()])[np.searchsorted(codes, pixels)]
    codes = np.array(known)
    return labels, np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1) if has_palette else None


def _list_colors(image: Image.Image) -> np.ndarray:
    """Return the color of each index of a page, N×3 uint8."""
    if image.mode == "P":
        return np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    return np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)
