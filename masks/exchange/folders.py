"""Mask images, and folders of mask images or of files of LabelMe and YOLO."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aotlab.masks.exchange.labelme import is_labelme, parse_labelme
from aotlab.masks.exchange.matching import numbers_of
from aotlab.masks.exchange.regions import Found, Size, runs_of
from aotlab.masks.exchange.safe_files import ContentError, read_json
from aotlab.masks.exchange.yolo import parse_yolo
from aotlab.media.images import open_image
from aotlab.media.masks import read_mask, require_mask_size, resolve_void
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_folder

log = logging.getLogger(__name__)

MOST_OBJECTS = 1000
"""largest number of ids in a mask; images given by mistake have more"""


def parse_mask(path: Path, size: Size, frame: int = 0, stem: str = "") -> list[Found]:
    """Return the objects of an image of object ids.

    Raises:
        InputError: not a mask, another size, or more than `MOST_OBJECTS` ids.
    """
    stored = read_mask(path, size=size)
    mask = resolve_void(stored)
    if mask is not stored:
        meant = "object 1" if (mask == 1).any() and (stored != 1).all() else "void, not an object"
        log.warning("%s: 255 is taken as %s", path, meant)
    ids = np.unique(mask[mask > 0])
    if len(ids) > MOST_OBJECTS:
        raise InputError(
            f"{path}: holds {len(ids)} different ids, like a grey image; give a mask of at most {MOST_OBJECTS} objects"
        )
    return [Found(frame, runs_of(mask == object_id), key=int(object_id), stem=stem) for object_id in ids]


def parse_folder(folder: Path, size: Size) -> list[Found]:
    """Return the objects of ``<object>/<frame>.png`` (binary), ``<frame>.png`` (ids), or LabelMe's or YOLO's files.

    Raises:
        InputError: unknown files, not a mask, or another size.
    """
    if is_folder(folder / "labels") and any((folder / "labels").glob("*.txt")):
        return parse_yolo(folder, size)
    inner = sorted(path for path in folder.iterdir() if is_folder(path) and any(path.glob("*.png")))
    if inner:
        return _from_objects(inner, size)
    images = _files(folder, ".png")
    if images:
        frames = numbers_of(path.stem for path in images)
        return [
            one
            for path, frame in zip(images, frames, strict=True)
            for one in parse_mask(path, size, frame, path.stem)
        ]
    files = _files(folder, ".json")
    trees = [read_json(path) for path in files]
    odd = next((path.name for path, tree in zip(files, trees, strict=True) if not is_labelme(tree)), None)
    if odd is not None or not files:
        raise ContentError(
            f"holds {odd or 'no mask'}; expected a folder OBJECT/FRAME.png of binary masks, FRAME.png of object ids, "
            "LabelMe's or YOLO's files"
        )
    return parse_labelme(trees, size)


def binary_mask(path: Path, size: Size) -> np.ndarray:
    """Return the H×W bool mask of an image of two values, one of them 0; raises `InputError` for any other."""
    with open_image(path, "mask", "give a black and white PNG") as image:
        mask = require_mask_size(
            np.array(image if image.mode in ("1", "P", "L") else image.convert("L")), size, path
        )
    values = np.unique(mask)
    if len(values[values > 0]) > 1:
        raise InputError(f"{path}: holds {len(values)} grey values, but a mask of one object has two")
    return mask > 0


def _from_objects(folders: Sequence[Path], size: Size) -> list[Found]:
    """Return an object for each folder, named by its id or its class; if one is 0, as in SA-V, ids are one more."""
    ids = {folder: int(folder.name) for folder in folders if re.fullmatch("[0-9]{1,5}", folder.name)}
    first = 1 if 0 in ids.values() else 0
    files = [(folder, path) for folder in folders for path in _files(folder, ".png")]
    stems = sorted({path.stem for _, path in files})
    frames = dict(zip(stems, numbers_of(stems), strict=True))
    found = []
    for folder, path in files:
        mask = binary_mask(path, size)
        if mask.any():
            name, key = ("", ids[folder] + first) if folder in ids else (folder.name, folder.name)
            found.append(Found(frames[path.stem], runs_of(mask), name, key, path.stem))
    return found


def _files(folder: Path, suffix: str) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == suffix and path.name[0] != ".")
