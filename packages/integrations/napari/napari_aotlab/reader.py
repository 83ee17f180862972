"""Reader of mask folders: one PNG of object ids per frame."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from aotlab import read_mask
from aotlab.sdk import natural_sort

Layers = list[tuple[np.ndarray, dict[str, Any], str]]


def get_reader(path: str | list[str]) -> Callable[[str], Layers] | None:
    """Return the reader of a folder that holds only PNGs, else None."""
    folder = Path(path) if isinstance(path, str) else None
    if folder is None or not folder.is_dir():
        return None
    files = [file for file in folder.iterdir() if not file.name.startswith(".")]
    return read_masks if files and all(file.suffix.lower() == ".png" for file in files) else None


def read_masks(path: str) -> Layers:
    """Return one Labels layer T×H×W of the PNGs in natural order; raise `InputError` for other images or sizes."""
    files = natural_sort(file for file in Path(path).iterdir() if file.suffix.lower() == ".png")
    size = read_mask(files[0]).shape
    masks = np.stack([read_mask(file, size=size) for file in files])
    return [(masks.astype(np.int32), {"name": Path(path).name}, "labels")]
