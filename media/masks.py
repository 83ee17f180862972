"""Object ids as indexed PNG files: H×W arrays, 0 is background."""

import logging
from pathlib import Path

import numpy as np
from PIL import Image

from aotlab.media.images import is_lossless, open_image, parse_png_depth, require_image_size
from aotlab.media.mask_pages import count_opened_pages, read_page
from aotlab.media.regions import MAX_ID
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import atomic_path

log = logging.getLogger(__name__)

VOID = 255
"""Label of undecided pixels; ignored in training."""
MAX_SHARP_IDS = 8
"""Largest number of ids of a mask that is never considered blurred."""
BLUR_EDGE_FRACTION = 0.5
"""A mask is blurred if fewer of its edge pixels have a neighbor with the same value both in their row and in their
column: blurring draws each value as a line one pixel wide."""
MAX_OBJECTS = 1000
"""Largest number of ids in a mask, to reject photos passed as masks."""
MASK_REMEDY = "give a palette PNG, or a gray one of 8 or 16 bits, with one object id per pixel"


def _voc_palette() -> np.ndarray:
    """Return the PASCAL VOC color of every id, 256×3 uint8; bit k of R, G, B comes from bits 0, 1, 2 of the id."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    return np.concatenate([np.packbits(bits[:, channel::3], axis=1) for channel in range(3)], axis=1)


PALETTE = _voc_palette()
"""Colors of object ids as in PASCAL VOC, 256×3 uint8 RGB."""


def palette_index(labels: np.ndarray) -> np.ndarray:
    """Return the palette rows (...) uint8 of object ids (...); ids above 255 reuse 1 to 255."""
    if labels.max(initial=0) > 255:
        labels = np.where(labels > 255, (labels - 1) % 255 + 1, labels)
    return labels.astype(np.uint8)


def read_mask(path: str | Path, *, size: tuple[int, int] | None = None, page: int | None = None) -> np.ndarray:
    """Read object ids from a PNG of mode P, L (8 bits) or I;16 (16 bits).

    Args:
        path: image in a lossless format.
        size: (height, width) that the mask must have; None: any.
        page: page of a TIFF, GIF or other image with several; None: the only one.

    Returns:
        H×W uint8, or uint16 for a 16-bit file.

    Raises:
        InputError: missing, not an image, lossy (JPEG), colored (RGB), of another size, or with several pages.
    """
    path = Path(path)
    with open_image(path, MASK_REMEDY) as image:
        if page is None and (count := count_opened_pages(path, image)) > 1:
            raise InputError(f"has {count} pages", subject=path, remedy="give one image for each frame")
        if not is_lossless(image):
            raise ValueError(f"{image.format}, whose compression changes object ids")
        if image.mode not in ("1", "P", "L", "I;16", "I;16B", "I"):
            raise ValueError(f"mode {image.mode}, which holds no object ids")
        mode = image.mode
        labels = read_page(path, image, page or 0)
        if labels.ndim != 2:
            raise ValueError(f"page {page} is in color")
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


def is_blurred(labels: np.ndarray) -> bool:
    """Return whether ids (H×W) look like gray values at the smoothed edge of one object.

    Besides the most frequent value they have many values in lines of a single pixel, which objects are not.
    """
    values, counts = np.unique(labels[labels > 0], return_counts=True)
    if len(values) <= MAX_SHARP_IDS:
        return False
    others = (labels > 0) & (labels != values[counts.argmax()])
    padded = np.pad(labels, 1)
    rows = (labels == padded[1:-1, :-2]) | (labels == padded[1:-1, 2:])
    columns = (labels == padded[:-2, 1:-1]) | (labels == padded[2:, 1:-1])
    return bool((rows & columns)[others].mean() < BLUR_EDGE_FRACTION)


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
