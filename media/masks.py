"""Object ids as indexed PNG files: H×W arrays, 0 is background."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from aotlab.media.images import count_pages, decode_pixels, open_image, parse_png_depth, require_image_size
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import atomic_path

log = logging.getLogger(__name__)

MAX_ID = 65535
"""Largest object id; ids are 16-bit."""
VOID = 255
"""Label of undecided pixels; ignored in training."""
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


def read_mask(path: str | Path, *, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read the object ids of a PNG: palette indices or gray values; in a black and white RGB image, white is 255.

    Args:
        path: the image.
        size: (height, width) that the mask must have; None: any.

    Returns:
        H×W uint8, or uint16 for a 16-bit file.

    Raises:
        InputError: missing, not a PNG, in color, with several pages, or of another size.
    """
    path = Path(path)
    with open_image(path, MASK_REMEDY) as image:
        if image.format != "PNG":
            raise ValueError(f"{image.format}, not PNG")
        pages = count_pages(image)
        require(pages == 1, f"has {pages} pages", subject=path, remedy="give one image for each frame")
        if image.mode in ("RGB", "RGBA", "LA"):
            rgba = decode_pixels(image, "RGBA")
            colors = np.minimum(rgba[..., :3], rgba[..., 3:])  # transparent pixels are black
            is_binary = np.isin(colors, (0, VOID)).all() and is_gray(colors)
            problem = "has colors, or shades of gray in RGB, which are not object ids"
            require(is_binary, problem, subject=path, remedy=MASK_REMEDY)
            labels = colors[..., 0]
        else:
            labels = decode_pixels(image).astype(np.uint16 if image.mode.startswith("I") else np.uint8, copy=False)
        if image.mode == "L":
            labels = restore_gray(path, labels)
    return labels if size is None else require_image_size(labels, size, path, "its frame")


def restore_gray(path: Path, labels: np.ndarray) -> np.ndarray:
    """Return the gray values of a PNG as stored: Pillow stretches those of fewer than 8 bits to 0 to 255."""
    with path.open("rb") as file:
        bits = parse_png_depth(file.read(25))
    if bits >= 8:
        return labels
    log.warning("%s: its gray values of %d bits are object ids", path, bits)
    return labels // (255 // (2**bits - 1))


def is_gray(colors: np.ndarray) -> bool:
    """Return whether colors (...×3) are shades of gray."""
    return bool((colors == colors[..., :1]).all())


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


def merge_object_masks(masks: Mapping[int, np.ndarray]) -> np.ndarray:
    """Merge H×W bool masks into H×W ids; smaller objects lie on top."""
    shape = next(iter(masks.values())).shape
    labels = np.zeros(shape, np.min_scalar_type(max(masks) + 1))  # 255 needs 16 bits
    for object_id in sorted(masks, key=lambda object_id: (-masks[object_id].sum(), object_id)):
        labels[masks[object_id]] = object_id
    return labels


def soft_to_labels(planes: np.ndarray) -> np.ndarray:
    """Return H×W object ids of values n×H×W of objects 1 to n: the largest one, unless the background has more.

    Raises `InputError` unless values are from 0 to 1.
    """
    in_range = bool(np.isfinite(planes).all()) and planes.min(initial=0) >= 0 and planes.max(initial=0) <= 1
    require(in_range, "soft values must be 0 to 1", subject="mask")
    labels: np.ndarray = np.concatenate([1 - planes.sum(0, keepdims=True), planes]).argmax(0)
    return labels


def is_void(labels: np.ndarray) -> np.ndarray:
    """Return the void pixels of H×W ids: 255 in 8 bits; with more bits, 255 is an object id."""
    return np.asarray((labels == VOID) & (labels.dtype == np.uint8))


def list_ids(labels: np.ndarray) -> set[int]:
    """Return the object ids of H×W labels, without void."""
    return set(np.unique(labels).tolist()) - ({0, VOID} if labels.dtype == np.uint8 else {0})


def resize_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize H×W ids or bools to (height, width) by nearest neighbor."""
    if labels.shape == size:
        return labels
    rows, columns = (
        ((np.arange(target) + 0.5) * source / target).astype(np.intp)
        for source, target in zip(labels.shape, size, strict=True)
    )
    return labels[rows[:, None], columns[None, :]]
