"""Folders of masks: one of binary PNGs per object, one of id PNGs per frame, or LabelMe's files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aotlab.masks.exchange.labelme import is_labelme, join_labelme
from aotlab.masks.exchange.objects import Found, Target, annotate, numbers_of
from aotlab.masks.exchange.regions import Annotations, Region, Size, runs_of
from aotlab.masks.exchange.safe_files import parse_json, read_bytes
from aotlab.masks.id_maps import read_mask
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_folder
from aotlab.utils.image_files import open_picture


def read_folder(folder: Path, target: Target) -> Annotations:
    """Objects of ``<object>/<frame>.png`` (not 0 is the object), ``<frame>.png`` (ids), or ``*.json`` of LabelMe.

    Raises:
        InputError: nothing of these, a picture that is none or of another size.
    """
    inner = sorted(path for path in folder.iterdir() if is_folder(path) and any(path.glob("*.png")))
    if inner:
        return _of_objects(inner, target, str(folder))
    pictures = _files(folder, ".png")
    if pictures:
        return _of_frames(pictures, target.size)
    files = _files(folder, ".json")
    trees = [parse_json(read_bytes(path), str(path)) for path in files]
    odd = next((path for path, tree in zip(files, trees, strict=True) if not is_labelme(tree)), None)
    if odd is not None or not files:
        raise InputError(
            f"{odd or folder}: expected a folder OBJECT/FRAME.png of binary masks, FRAME.png of object ids, or "
            "LabelMe's files"
        )
    return join_labelme(trees, target, str(folder))


def binary_mask(path: Path, size: Size) -> np.ndarray:
    """H×W bool of a picture of two values, of which 0 is background.

    Raises:
        InputError: it cannot be read, has more values, or another size.
    """
    with open_picture(path, "mask", "give a black and white PNG") as image:
        mask = np.array(image if image.mode in ("1", "P", "L") else image.convert("L"))
    if mask.shape != size:
        raise InputError(
            f"{path}: the mask is {mask.shape[1]}×{mask.shape[0]}, but its frame is {size[1]}×{size[0]}"
        )
    values = np.unique(mask)
    if len(values[values > 0]) > 1:
        raise InputError(f"{path}: holds {len(values)} grey values, where a mask of one object has two")
    return mask > 0


def _of_objects(folders: Sequence[Path], target: Target, name: str) -> Annotations:
    """One object a folder: its name is the id, or if it is no number the label."""
    stems = sorted({path.stem for folder in folders for path in _files(folder, ".png")})
    frames = dict(zip(stems, numbers_of(stems), strict=True))
    found = []
    for folder in folders:
        number = int(folder.name) if folder.name.isdecimal() and len(folder.name) < 6 else None
        for path in _files(folder, ".png"):
            mask = binary_mask(path, target.size)
            if mask.any():
                label = "" if number is not None else folder.name
                found.append(
                    Found(frames[path.stem], runs_of(mask), label, number if number is not None else label)
                )
    annotations = annotate(found, target.size, name)
    annotations.stems = {frame: stem for stem, frame in frames.items()}
    return annotations


def _of_frames(paths: Sequence[Path], size: Size) -> Annotations:
    stems = [path.stem for path in paths]
    annotations = Annotations(size, stems=dict(zip(numbers_of(stems), stems, strict=True)))
    for frame, path in zip(annotations.stems, paths, strict=True):
        mask = read_mask(path, size=size)
        ids = np.unique(mask)
        regions = [Region(int(number), runs_of(mask == number)) for number in ids[ids > 0]]
        annotations.frames[frame] = regions
    return annotations


def _files(folder: Path, suffix: str) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == suffix and path.name[0] != ".")
