"""Image and mask files, and readers of the mask conventions of each data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aotlab.dataloaders.training.labelled import LabelledImage
from aotlab.masks.id_maps import VOID, read_mask
from aotlab.utils.errors import InputError
from aotlab.utils.image_files import open_image

MaskReader = Callable[[Path], np.ndarray]
"""reader from file to H×W uint8: ids, 0 background, 255 ignored"""


@dataclass(frozen=True, slots=True)
class MaskedImage(LabelledImage):
    """An image file and its mask file."""

    mask: Path
    reader: MaskReader
    dropped: tuple[int, ...] = ()
    """ids treated as background"""

    @property
    def source(self) -> Path:
        """File of the mask."""
        return self.mask

    def read_mask(self) -> np.ndarray:
        """Return only the mask."""
        mask = self.reader(self.mask)
        return np.where(np.isin(mask, self.dropped), np.uint8(0), mask) if self.dropped else mask


def read_ids(path: Path) -> np.ndarray:
    """Read unchanged ids, 255 ignored: DAVIS 2017, YouTube-VOS, VOST, instances of PASCAL VOC.

    Raises:
        InputError: not a readable mask, or an id above 255.
    """
    mask = read_mask(path)
    if mask.max(initial=0) > VOID:
        raise InputError(f"{path}: object id {mask.max()}; ids of training masks must be 1 to 254")
    return mask.astype(np.uint8, copy=False)


def read_ids_or_saliency(path: Path) -> np.ndarray:
    """Read ids; if 255 is the only value besides 0, it is the object, as in saliency sets."""
    mask = read_ids(path)
    if not ((mask > 0) & (mask < VOID)).any():
        return (mask == VOID).astype(np.uint8)
    return mask


def read_one_object(path: Path) -> np.ndarray:
    """Read everything above 0 as one object: DAVIS 2016, whose first release stores 255."""
    return (read_mask(path) > 0).astype(np.uint8)


def read_saliency(path: Path) -> np.ndarray:
    """Read the brighter half of the grey levels as one object; colours are converted to grey."""
    with open_image(path, "mask", "give a grey PNG, white where the object is") as image:
        return (np.asarray(image.convert("L")) > 127).astype(np.uint8)
