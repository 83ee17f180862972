"""J and F of objects that are annotated each in a folder of binary PNGs of its own, so that they may overlap."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from aotlab.evaluation.measures import contour_accuracy, region_similarity
from aotlab.masks.id_maps import read_mask, write_mask
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, is_folder


def score_objects(folders: Mapping[int, Path], results: Path, name: str) -> tuple[np.ndarray, set[int]]:
    """J and F (2×K) of one frame, and the predicted ids that were passed over; NaN where an object has no annotation.

    Args:
        folders: the annotations of each object.
        results: a folder of PNGs of ids, or with a folder of binary PNGs for each object, named as its annotations are.
        name: of the frame's PNG.

    Raises:
        InputError: a file is missing or no mask, or sizes differ.
    """
    ids = read_mask(results / name) if is_file(results / name) else None
    values = np.full((2, len(folders)), np.nan)
    for index, (identity, folder) in enumerate(folders.items()):
        if not is_file(folder / name):
            continue
        annotation = read_mask(folder / name) > 0
        path = results / name if ids is not None else results / folder.name / name
        prediction = read_mask(path) > 0 if ids is None else ids == identity
        if annotation.shape != prediction.shape:
            raise InputError(
                f"{path}: the prediction is {prediction.shape[1]}×{prediction.shape[0]}, its annotation "
                f"{annotation.shape[1]}×{annotation.shape[0]}; write predictions in the annotation's size"
            )
        values[:, index] = region_similarity(annotation, prediction), contour_accuracy(annotation, prediction)
    extra = set() if ids is None else set(np.unique(ids).tolist()) - {0, *folders}
    return values, extra


def wanted_files(folders: Mapping[int, Path], results: Path, name: str) -> list[Path]:
    """The files that `score_objects` reads of a frame's results."""
    inner = [folder for folder in folders.values() if is_file(folder / name)]
    if not any(is_folder(results / folder.name) for folder in folders.values()):
        return [results / name]
    return [results / folder.name / name for folder in inner]


def write_object_results(output: Path, results: Path, folders: Mapping[int, Path]) -> int:
    """Results written as a folder of PNGs of 0 and 1 for each object; the number of files.

    Args:
        output: gets a folder for each object, named as its annotations are, with the same frames.
        results: as `score_objects` takes them.
        folders: the annotations of each object.

    Raises:
        InputError: a result is missing or no mask, or a file cannot be written.
    """
    names = {
        identity: {path.name for path in folder.glob("[!.]*.png")} for identity, folder in folders.items()
    }
    for name in sorted(set().union(*names.values())):
        ids = read_mask(results / name) if is_file(results / name) else None
        for identity, folder in folders.items():
            if name in names[identity]:
                mask = read_mask(results / folder.name / name) > 0 if ids is None else ids == identity
                write_mask(output / folder.name / name, mask.astype(np.uint8))
    return sum(len(found) for found in names.values())
