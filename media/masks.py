"""Object ids as indexed PNG files: H×W arrays, 0 is background."""

import logging
from functools import cache, reduce
from pathlib import Path

import numpy as np
from PIL import Image

from aotlab.media.images import is_lossless, open_image, parse_png_depth, require_image_size
from aotlab.media.mask_pages import COLOR_CODES, count_opened_pages, read_page
from aotlab.media.regions import MAX_ID
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import atomic_path

log = logging.getLogger(__name__)

VOID = 255
"""Label of undecided pixels; ignored in training."""
MAX_THIN_IDS = 8
"""Largest number of thin objects side by side without a larger object of a higher id."""
LINE_RADIUS = 2
"""Largest distance in pixels from a line at a smoothed edge to both of the values between which it lies."""
LINE_FRACTION = 0.95
"""Smallest fraction of a value's pixels within this distance."""
BLURRED_FRACTION = 0.25
"""Smallest fraction of such lines among the pixels at edges of a smoothed mask."""
MAX_OBJECTS = 1000
"""Largest number of ids in a mask, to reject photos passed as masks."""
MASK_REMEDY = "give a palette PNG, or a gray one of 8 or 16 bits, with one object id per pixel"


def _voc_palette() -> np.ndarray:
    """Return the PASCAL VOC color of every id, 256×3 uint8; bit k of R, G, B comes from bits 0, 1, 2 of the id."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    return np.concatenate([np.packbits(bits[:, channel::3], axis=1) for channel in range(3)], axis=1)


PALETTE = _voc_palette()
"""Colors of object ids as in PASCAL VOC, 256×3 uint8 RGB."""
BINARY_IDS = {(0, 0, 0): 0, (255, 255, 255): 1}
PALETTE_IDS = {tuple(color): object_id for object_id, color in enumerate(PALETTE.tolist())}


def palette_index(labels: np.ndarray) -> np.ndarray:
    """Return the palette rows (...) uint8 of object ids (...); ids above 255 reuse 1 to 255."""
    if labels.max(initial=0) > 255:
        labels = np.where(labels > 255, (labels - 1) % 255 + 1, labels)
    return labels.astype(np.uint8)


def read_mask(path: str | Path, *, size: tuple[int, int] | None = None, page: int | None = None) -> np.ndarray:
    """Read object ids from a PNG of mode P, L (8 bits) or I;16 (16 bits).

    Colors of `PALETTE` are read as their ids at other indices, as programs that reorder palettes store them, and in
    images of mode RGB and RGBA. White in a black and white image of these modes or LA is 255. Transparent pixels are
    black.

    Args:
        path: image in a lossless format.
        size: (height, width) that the mask must have; None: any.
        page: page of a TIFF, GIF or other image with several; None: the only one.

    Returns:
        H×W uint8, or uint16 for a 16-bit file.

    Raises:
        InputError: missing, not an image, lossy (JPEG), in other colors or with shades (RGB), of another size, or with
            several pages.
    """
    path = Path(path)
    with open_image(path, MASK_REMEDY) as image:
        if page is None and (count := count_opened_pages(path, image)) > 1:
            raise InputError(f"has {count} pages", subject=path, remedy="give one image for each frame")
        if not is_lossless(path, image):
            raise ValueError(f"{image.format}, whose compression changes object ids")
        if image.mode not in ("1", "P", "L", "I;16", "I;16B", "I", "RGB", "RGBA", "LA"):
            raise ValueError(f"mode {image.mode}, which holds no object ids")
        mode = image.mode
        if mode in ("RGB", "RGBA", "LA"):
            image.seek(page or 0)
            labels = _read_colors(image, path.parent)
        else:
            labels, palette = read_page(path, image, page or 0)
            if palette is not None:
                labels = _restore_ids(labels, palette, path.parent)
        if labels.ndim != 2:
            raise ValueError(f"page {page} is in color")
        if image.format == "GIF" and labels.max() > VOID:
            raise ValueError(f"the colors of page {page} are not in the palette of the first page")
        if image.format == "PNG" and image.mode == "L":
            with path.open("rb") as file:
                bits = parse_png_depth(file.read(25))
            if bits < 8:
                log.warning("%s: its gray values of %d bits are object ids", path, bits)
                labels //= 255 // (2**bits - 1)  # Pillow stretches them to 0..255
        if labels.min() < 0 or labels.max() > MAX_ID:
            raise ValueError(f"object ids from {labels.min()} to {labels.max()}, not 0 to {MAX_ID}")
        dtype = np.uint16 if mode.startswith("I") else np.uint8
        labels = labels.astype(dtype, copy=False)
    return labels if size is None else require_image_size(labels, size, path, "its frame")


def _read_colors(image: Image.Image, folder: Path) -> np.ndarray:
    """Return ids (H×W uint8) of an image of mode RGB, RGBA or LA: those of the colors of `PALETTE`, or 255 for white.

    Transparent pixels are black. Raises `ValueError` for other colors and shades.
    """
    rgba = np.asarray(image.convert("RGBA"))
    *colors, alpha = np.moveaxis(rgba, 2, 0)
    shown = alpha > 0
    if any((color != colors[0])[shown].any() for color in colors):
        codes = shown * (rgba[..., :3] @ COLOR_CODES)
        found = np.unique(codes)
        ids = [PALETTE_IDS.get((code >> 16, code >> 8 & 255, code & 255)) for code in found[:257].tolist()]
        if None in ids:
            raise ValueError(f"mode {image.mode}, whose colors a legend.json beside it must name (aotlab-studio)")
        _warn_once(folder, "ids are those of the colors of PASCAL VOC")
        return np.array(ids, np.uint8)[np.searchsorted(found, codes)]
    gray = np.where(shown, np.minimum(colors[0], alpha), 0).astype(np.uint8)
    if ((gray > 0) & (gray < VOID)).any():
        raise ValueError(f"mode {image.mode} with shades of gray, not only black and white")
    return gray


def _restore_ids(indices: np.ndarray, palette: np.ndarray, folder: Path) -> np.ndarray:
    """Return the ids of H×W palette indices: of the colors (N×3), if they are all those of `PALETTE` and not gray.

    White is 1 if the only other color is black at an index other than 0.
    """
    used = np.flatnonzero(np.bincount(indices.ravel()))
    if used[-1] >= len(palette) or (used[-1] < 256 and np.array_equal(palette[used], PALETTE[used])):
        return indices
    colors = [tuple(color) for color in palette[used].tolist()]
    is_binary = {*colors} == {*BINARY_IDS} and palette[0].any()
    ids = [(BINARY_IDS if is_binary else PALETTE_IDS).get(color) for color in colors]
    is_gray = (palette[used] == palette[used, :1]).all()
    if None in ids or len({*ids}) < len(ids) or (is_gray and not is_binary):
        return indices
    _warn_once(folder, "palettes are reordered; ids are those of the colors, not of the palette's entries")
    table = np.zeros(len(palette), np.uint8)
    table[used] = np.array(ids, np.uint8)
    return table[indices]


@cache
def _warn_once(folder: Path, text: str) -> None:
    log.warning("%s: %s", folder, text)


def write_mask(path: str | Path, labels: np.ndarray, *, max_id: int = 0) -> None:
    """Write H×W object ids as a palette PNG, or as a 16-bit gray PNG if an id is above 255.

    Args:
        path: file that ends in .png.
        labels: in uint16, 255 is an object, as in `read_mask`; in other types it is void.
        max_id: largest object id of the video; from 255 on, the PNG has 16 bits, as 255 is void in 8 bits.

    Raises:
        InputError: not H×W, an id is not a whole number from 0 to `MAX_ID`, the file does not end in .png or cannot be
            written.
    """
    path, labels = Path(path), np.asarray(labels)
    require(
        path.suffix.lower() == ".png",
        "masks are PNG files, as lossy formats change object ids",
        subject=path,
        remedy="give a name that ends in .png",
    )
    with np.errstate(invalid="ignore"):  # NaN and infinity
        ids = labels.astype(np.uint16) if labels.dtype.kind in "biuf" else np.empty(0)
    if ids.ndim != 2 or not ids.size or not np.array_equal(ids, labels):
        raise InputError(
            f"expected object ids H×W, whole numbers from 0 to {MAX_ID}, got {labels.dtype} of shape {labels.shape}",
            subject=path,
            remedy="threshold probabilities, or renumber the objects",
        )
    if ids.max() > VOID or max_id >= VOID or (ids.max() == VOID and labels.dtype == np.uint16):
        image = Image.fromarray(ids)
    else:
        image = Image.fromarray(ids.astype(np.uint8), mode="P")
        image.putpalette(PALETTE.tobytes())
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")


def is_void(labels: np.ndarray) -> np.ndarray:
    """Return the void pixels of H×W ids: 255 in 8 bits; with more bits, 255 is an object id."""
    return np.asarray((labels == VOID) & (labels.dtype == np.uint8))


def list_ids(labels: np.ndarray) -> set[int]:
    """Return the object ids of H×W labels, without void."""
    return set(np.unique(labels).tolist()) - ({0, VOID} if labels.dtype == np.uint8 else {0})


def find_line_ids(labels: np.ndarray) -> tuple[set[int], float]:
    """Return the ids of H×W labels that exist only as lines between a lower and a higher value, as at smoothed edges.

    The second value is the fraction of these lines among the pixels at edges.
    """
    rows, columns = np.flatnonzero(labels.any(1)), np.flatnonzero(labels.any(0))
    if not rows.size:
        return set(), 0.0
    top, left = max(rows[0] - LINE_RADIUS, 0), max(columns[0] - LINE_RADIUS, 0)
    labels = labels[top : rows[-1] + LINE_RADIUS + 1, left : columns[-1] + LINE_RADIUS + 1]
    totals = np.bincount(labels.ravel())
    low, high = _filter_values(labels, np.minimum, 1), _filter_values(labels, np.maximum, 1)
    is_solid = np.bincount(labels[low == high], minlength=len(totals)) > 0  # has a pixel with equal ones all around
    is_line = (totals > 0) & ~is_solid
    is_line[0] = False
    if not is_line.any() or np.count_nonzero(totals[1:]) < 2:
        return set(), 0.0
    low, high = _filter_values(labels, np.minimum, LINE_RADIUS), _filter_values(labels, np.maximum, LINE_RADIUS)
    between = np.bincount(labels[(low < labels) & (labels < high)], minlength=len(totals))
    is_line &= between >= LINE_FRACTION * totals
    if np.count_nonzero(is_line) <= MAX_THIN_IDS:
        is_line[np.flatnonzero(is_solid).max(initial=0) :] = False
    lines = is_line[labels]
    edges = 0
    for axis in range(2):
        moved, moved_lines = np.moveaxis(labels, axis, 0), np.moveaxis(lines, axis, 0)
        is_edge = moved[1:] != moved[:-1]
        edges += np.count_nonzero(is_edge & ~moved_lines[1:] & ~moved_lines[:-1])
    count = np.count_nonzero(lines)
    return set(np.flatnonzero(is_line).tolist()), count / max(count + edges, 1)


def _filter_values(labels: np.ndarray, choose: np.ufunc, radius: int) -> np.ndarray:
    """Return the smallest or largest value in the square around each pixel."""
    for axis in range(2):
        padding = [(radius, radius) if axis == index else (0, 0) for index in range(2)]
        padded = np.moveaxis(np.pad(labels, padding, mode="edge"), axis, 0)
        parts = [padded[start : start + labels.shape[axis]] for start in range(2 * radius + 1)]
        labels = np.moveaxis(reduce(choose, parts), 0, axis)
    return labels


def is_blurred(labels: np.ndarray) -> bool:
    """Return whether ids (H×W) look like gray values at smoothed edges: many edges are lines of ids between others."""
    return find_line_ids(labels)[1] >= BLURRED_FRACTION


def is_soft(labels: np.ndarray) -> bool:
    """Return whether ids (H×W) look like the gray values of a soft mask of one object, from 0 to 255."""
    has_white_and_gray = labels.dtype == np.uint8 and (labels == VOID).any() and ((labels > 0) & (labels < VOID)).any()
    return bool(has_white_and_gray) or is_blurred(labels)


def resize_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize H×W ids or bools to (height, width) by nearest neighbor."""
    if labels.shape == size:
        return labels
    rows, columns = (
        ((np.arange(target) + 0.5) * source / target).astype(np.intp)
        for source, target in zip(labels.shape, size, strict=True)
    )
    return labels[rows[:, None], columns[None, :]]
