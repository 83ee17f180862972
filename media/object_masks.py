"""Objects with separate masks: as listed in metadata, and on one frame as a PNG per object or run lengths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.utils.errors import InputError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class ObjectMasks:
    """Separate masks of the objects on one frame."""

    source: Path
    """source folder or file, for messages"""
    stem: str
    """stem of the frame"""
    files: Mapping[int, Path] = field(default_factory=dict)
    """binary PNGs by object"""
    rle: Mapping[int, str] = field(default_factory=dict)
    """COCO's compressed run lengths by object, for an image of `size`"""
    size: tuple[int, int] = (0, 0)
    """(height, width) in pixels"""

    def __str__(self) -> str:
        return f"{self.source}: frame {self.stem}"


@dataclass(frozen=True)
class ListedObject:
    """An object listed in a data set's metadata."""

    object_id: int
    frames: tuple[str, ...]
    """stems of its frames in temporal order; the mask of the first is given"""
    length: int
    """number of frames according to the metadata"""
    seen: bool | None = None
    """whether its category occurs in the training set; None: unknown"""


def read_labels(mask: Path | ObjectMasks, *, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read H×W ids of a given mask of (height, width); smaller objects lie on top of larger ones."""
    # loads NumPy, which the help of a command with data sets does without
    from aotlab.media.masks import read_mask

    if isinstance(mask, Path):
        return read_mask(mask, size=size)
    return merge_object_masks(read_object_masks(mask, size=size))


def read_object_masks(mask: ObjectMasks, *, size: tuple[int, int] | None = None) -> dict[int, np.ndarray]:
    """Read an H×W bool mask of (height, width) per object."""
    from aotlab.media.images import require_image_size
    from aotlab.media.masks import read_mask
    from aotlab.media.regions import decode_rle, parse_rle
    from aotlab.utils.files import reading

    masks = {object_id: read_mask(path, size=size) > 0 for object_id, path in mask.files.items()}
    for object_id, text in mask.rle.items():
        with reading(f"{mask}, object {object_id}"):
            pixels = decode_rle(parse_rle(text, mask.size), mask.size)
        masks[object_id] = require_image_size(pixels, size or mask.size, mask, "its frame")
    sizes = {pixels.shape for pixels in masks.values()}
    if len(sizes) != 1:
        raise InputError(f"{mask}: masks of {len(sizes)} sizes; expected one object at least, and one size")
    return masks


def merge_object_masks(masks: Mapping[int, np.ndarray]) -> np.ndarray:
    """Merge H×W bool masks into H×W ids; smaller objects lie on top."""
    import numpy as np

    labels = np.zeros(
        next(iter(masks.values())).shape, dtype=np.min_scalar_type(max(masks) + 1)
    )  # 255 needs 16 bits
    for object_id in sorted(masks, key=lambda object_id: (-masks[object_id].sum(), object_id)):
        labels[masks[object_id]] = object_id
    return labels


def list_mask_files(mask: Path | ObjectMasks) -> tuple[Path, ...]:
    """Return the files of a given mask."""
    return (mask,) if isinstance(mask, Path) else tuple(mask.files.values())
