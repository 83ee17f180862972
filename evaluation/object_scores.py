"""J and F of overlapping objects, each annotated in a separate folder of binary PNGs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from aotlab.evaluation.measures import region_and_contour, require_same_size, score_object
from aotlab.masks.id_maps import read_mask, write_mask
from aotlab.utils.files import is_file, is_folder


def score_objects(folders: Mapping[int, Path], results: Path, name: str) -> tuple[np.ndarray, set[int]]:
    """Return J and F (2×K) of one frame and the ignored predicted ids; NaN if an object has no annotation.

    Args:
        folders: annotation folder of each object.
        results: folder of id PNGs, or of one folder of binary PNGs per object, named like its annotations.
        name: file name of the frame's PNG.

    Raises:
        InputError: a file is missing or not a mask, or sizes differ.
    """
    ids = read_mask(results / name) if is_file(results / name) else None
    values = np.full((2, len(folders)), np.nan)
    for index, (object_id, folder) in enumerate(folders.items()):
        if not is_file(folder / name):
            continue
        annotation = read_mask(folder / name) > 0
        path = results / name if ids is not None else results / folder.name / name
        prediction = read_mask(path) > 0 if ids is None else ids == object_id
        require_same_size(str(path), annotation, prediction)
        values[:, index] = score_object(annotation, prediction, annotation.shape, region_and_contour)
    extra = set() if ids is None else set(np.unique(ids).tolist()) - {0, *folders}
    return values, extra


def wanted_files(folders: Mapping[int, Path], results: Path, name: str) -> list[Path]:
    """Return the result files of a frame that `score_objects` reads."""
    inner = [folder for folder in folders.values() if is_file(folder / name)]
    if not any(is_folder(results / folder.name) for folder in folders.values()):
        return [results / name]
    return [results / folder.name / name for folder in inner]


def write_object_results(output: Path, results: Path, folders: Mapping[int, Path]) -> int:
    """Write results as one folder of 0/1 PNGs per object; return the number of files.

    Args:
        output: receives a folder per object, named like its annotations, with the same frames.
        results: as in `score_objects`.
        folders: annotation folder of each object.

    Raises:
        InputError: a result is missing or not a mask, or a file cannot be written.
    """
    names = {
        object_id: {path.name for path in folder.glob("[!.]*.png")} for object_id, folder in folders.items()
    }
    for name in sorted(set().union(*names.values())):
        ids = read_mask(results / name) if is_file(results / name) else None
        for object_id, folder in folders.items():
            if name in names[object_id]:
                mask = read_mask(results / folder.name / name) > 0 if ids is None else ids == object_id
                write_mask(output / folder.name / name, mask.astype(np.uint8))
    return sum(len(found) for found in names.values())
