"""Reading of mask images of any lossless format: object ids, black and white, soft, of MOTS, or colors."""

from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image

from aotlab.media.images import LOSSLESS_FORMATS, open_image, require_image_size
from aotlab.media.masks import MASK_REMEDY, MAX_ID, PALETTE, VOID, is_gray, restore_gray
from aotlab.utils.errors import InputError, require, require_choice
from aotlab.utils.files import reading
from aotlab_video.masks.mask_pages import COLOR_CODES, count_opened_pages, read_page
from aotlab_video.masks.value_syntax import FORMAT_OPTION, MaskFormat
from aotlab_video.sources.exr import read_exr
from aotlab_video.sources.high_bit_depth import detect_image_kind

FORMAT_REMEDY = f"{MASK_REMEDY}, or state what it holds with {FORMAT_OPTION} ids, binary, soft, mots or palette"
MOTS_FACTOR, MOTS_IGNORED = 1000, 10000
"""Ids of MOTS are 1000 times the class plus the object; 10000 marks undecided pixels."""
PALETTE_IDS = {code: object_id for object_id, code in enumerate((PALETTE @ COLOR_CODES).tolist())}
"""Object ids by `COLOR_CODES` of their colors."""
LOSSY_TIFF_COMPRESSIONS = ("jpeg", "tiff_jpeg", "webp")


def read_mask_image(
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    page: int | None = None,
    format: MaskFormat | None = "ids",
) -> np.ndarray:
    """Read the object ids of an image in any lossless format.

    Args:
        path: the image.
        size: (height, width) that the mask must have; None: any.
        page: page of a TIFF, GIF or other image with several; None: the only one.
        format: meaning of the pixels, see `MaskFormat`; None: ids, but refuse a palette with the colors of `PALETTE`,
            or black and white, in another order.

    Returns:
        H×W uint8, or uint16 for a 16-bit file.

    Raises:
        InputError: missing, not an image, lossy (JPEG), not in the format, of another size, or with several pages; or
            an unknown format.
    """
    path = Path(path)
    if format is not None:
        require_choice(format, get_args(MaskFormat), "format")
    if format == "soft":
        return np.uint8(read_soft_mask(path, size=size, page=page) > 0.5)
    with open_image(path, MASK_REMEDY) as image:
        _require_page(path, image, page)
        if not is_lossless(path, image):
            raise ValueError(f"{image.format}, whose compression changes object ids")
        if image.mode not in ("1", "P", "L", "I;16", "I;16B", "I", "RGB", "RGBA", "LA"):
            raise ValueError(f"mode {image.mode}, which holds no object ids")
        dtype = np.uint16 if image.mode.startswith("I") else np.uint8
        values, palette = read_page(path, image, page or 0)
        if format in ("binary", "palette"):
            labels = _convert_colors(_look_up_colors(values, palette), format)
        else:
            problem = "its palette has the colors of PASCAL VOC, or black and white, in another order"
            is_clear = format is not None or palette is None or not _is_reordered(values, palette)
            require(is_clear, problem, subject=path, remedy=FORMAT_REMEDY)
            labels = values
            if values.ndim == 3:  # in color
                labels, is_binary = values[..., 0], np.isin(values, (0, VOID)).all() and is_gray(values)
                problem = "has colors, or shades of gray in RGB, which are not object ids"
                remedy = f"{FORMAT_REMEDY}, or name its colors in a labelmap.txt beside it (aotlab-studio)"
                require(is_binary, problem, subject=path, remedy=MASK_REMEDY if format == "ids" else remedy)
            if image.format == "GIF" and labels.max() > VOID:
                raise ValueError(f"the colors of page {page} are not in the palette of the first page")
            if image.format == "PNG" and image.mode == "L":
                labels = restore_gray(path, labels)
        if labels.min() < 0 or labels.max() > MAX_ID:
            raise ValueError(f"object ids from {labels.min()} to {labels.max()}, not 0 to {MAX_ID}")
        if format == "mots":
            ids = np.unique(labels)
            is_mots = np.isin(ids, (0, MOTS_IGNORED)) | ((ids >= MOTS_FACTOR) & (ids < MOTS_IGNORED))
            problem = f"id {ids[~is_mots].max(initial=0)} is not 1000 times a class plus an object, as in MOTS"
            require(is_mots.all(), problem, subject=path, remedy=FORMAT_REMEDY)
        labels = labels.astype(dtype, copy=False)
    return labels if size is None else require_image_size(labels, size, path, "its frame")


def read_soft_mask(path: Path, *, size: tuple[int, int] | None, page: int | None = None) -> np.ndarray:
    """Read a gray image as values H×W float32 from 0 to 1: of 8 or 16 bits, or floats of TIFF and EXR.

    Raises `InputError` as `read_mask_image`.
    """
    if detect_image_kind(path) == "exr":
        colors = read_exr(path)
        with reading(path, FORMAT_REMEDY):
            gray = _read_gray(colors[..., 0] if colors.shape[2] == 1 else colors)
        return gray if size is None else require_image_size(gray, size, path, "its frame")
    with open_image(path, MASK_REMEDY) as image:
        _require_page(path, image, page)
        require(is_lossless(path, image), f"{image.format}, whose compression changes edges", subject=path)
        values, palette = read_page(path, image, page or 0)
        gray = _read_gray(_look_up_colors(values, palette))
    return gray if size is None else require_image_size(gray, size, path, "its frame")


def _require_page(path: Path, image: Image.Image, page: int | None) -> None:
    """Raise `InputError` if an opened image has several pages and none is given."""
    if page is None and (count := count_opened_pages(path, image)) > 1:
        raise InputError(f"has {count} pages", subject=path, remedy="give one image for each frame")


def _look_up_colors(values: np.ndarray, palette: np.ndarray | None) -> np.ndarray:
    """Return the colors of palette indices; values of an image without a palette unchanged."""
    if palette is None:
        return values
    if values.max() >= len(palette):
        raise ValueError(f"color {values.max()}, but its palette has {len(palette)}")
    return palette[values]


def _read_gray(colors: np.ndarray) -> np.ndarray:
    """Return gray values H×W, or H×W×3 in shades of gray, as float32 from 0 to 1; raise `InputError` for others."""
    has_gray = colors.ndim == 2
    require(has_gray or is_gray(colors), "in color, not in shades of gray", remedy=FORMAT_REMEDY)
    values = colors if has_gray else colors[..., 0]
    white = 1 if values.dtype.kind in "bf" else VOID if values.dtype == np.uint8 else MAX_ID
    in_range = np.isfinite(values).all() and values.min() >= 0 and values.max() <= white
    require(in_range, f"values beyond 0 and {white}", remedy="scale them")
    return values.astype(np.float32) / np.float32(white)


def _convert_colors(colors: np.ndarray, format: Literal["binary", "palette"]) -> np.ndarray:
    """Return the ids H×W of gray values H×W or colors H×W×3; raise `InputError` for others than the format has."""
    has_gray = colors.ndim == 2
    codes = colors if has_gray else colors @ COLOR_CODES
    found, places = np.unique(codes, return_inverse=True)
    if format == "binary":
        count = np.count_nonzero(found)
        require(count <= 1, f"{count} values besides black, not one", remedy=FORMAT_REMEDY)
        return codes > 0
    require(not has_gray, "gray, without colors", remedy=FORMAT_REMEDY)
    ids = [PALETTE_IDS.get(code) for code in found.tolist()]
    if None in ids:
        color = f"#{found[ids.index(None)]:06x}"
        raise InputError(f"the color {color} is not in the palette of PASCAL VOC", remedy=FORMAT_REMEDY)
    return np.array(ids, np.uint8)[places.reshape(codes.shape)]


def _is_reordered(indices: np.ndarray, palette: np.ndarray) -> bool:
    """Return whether the colors (N×3) of palette indices H×W are those of `PALETTE`, or black and white, elsewhere."""
    used = np.flatnonzero(np.bincount(indices.ravel()))
    if used[-1] >= min(len(palette), len(PALETTE)):
        return False
    colors = palette[used]
    codes = {*(colors @ COLOR_CODES).tolist()}
    if len(codes) < len(used) or np.array_equal(colors, PALETTE[used]):
        return False
    if is_gray(colors):
        return len(used) == 2 and {*colors[:, 0].tolist()} == {0, VOID} and bool(palette[0].any())
    return codes <= PALETTE_IDS.keys()


def is_lossless(path: Path, image: Image.Image) -> bool:
    """Return whether an opened image is compressed without losses."""
    if image.format == "TIFF":
        return image.info.get("compression") not in LOSSY_TIFF_COMPRESSIONS
    if image.format == "WEBP":
        return b"VP8 " not in path.read_bytes()  # the type of lossy chunks
    return image.format in LOSSLESS_FORMATS
