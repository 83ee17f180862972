"""Reading of masks: ids, or a binary PNG for each object."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from aotlab.media.masks import VOID, is_void, merge_object_masks, read_mask


def read_labels(mask: Path | Mapping[int, Path], *, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read H×W ids of a reference mask of (height, width); smaller objects lie on top of larger ones."""
    if isinstance(mask, Path):
        return read_mask(mask, size=size)
    return merge_object_masks(read_object_masks(mask, size=size))


def read_object_masks(files: Mapping[int, Path], *, size: tuple[int, int] | None = None) -> dict[int, np.ndarray]:
    """Read an H×W bool mask of (height, width) per object."""
    return {object_id: read_mask(path, size=size) > 0 for object_id, path in files.items()}


def extract_object_ids(annotation: np.ndarray, *, merge_ids: bool = False) -> np.ndarray:
    """Return the object ids of an annotation: void becomes background; ``merge_ids`` maps every object to id 1.

    The first release of DAVIS 2016 stores its single object as 255. If ids are merged and an annotation holds only
    0 and 255, 255 is therefore the object, not void.
    """
    objects = (annotation != 0) & ~is_void(annotation)
    if not merge_ids:
        return np.where(objects, annotation, 0)
    return (objects if objects.any() else annotation == VOID).astype(np.uint8)


def list_mask_files(mask: Path | Mapping[int, Path]) -> tuple[Path, ...]:
    """Return the files of a reference mask."""
    return (mask,) if isinstance(mask, Path) else tuple(mask.values())
