"""Scoring of objects that may overlap, whose masks are a folder of binary PNGs each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aotlab.evaluation.metrics import Measure, crop_to_objects
from aotlab.evaluation.sequence_scores import FrameScores, find_unknown_ids
from aotlab.media.images import require_image_size
from aotlab.media.masks import read_mask


@dataclass(frozen=True)
class ObjectScorer:
    """Scorer of objects that may overlap.

    Results are id PNGs, or one folder of binary PNGs per object, named like its annotations.
    """

    folders: Mapping[int, Path]
    """Annotation folder of each scored object: one binary PNG per frame."""
    measure: Measure
    skipped_ids: frozenset[int]
    """Ids of the objects that are not scored."""

    def result_files(self, results: Path, frame: Path) -> list[Path]:
        return [*dict.fromkeys(list_result_files(results, frame.name, self.folders).values())]

    def score(self, results: Path, frame: Path) -> FrameScores:
        """Score a frame; objects without an annotation on it have NaN."""
        predictions, unknown = read_object_results(results, frame.name, self.folders)
        scores = dict[int, Sequence[float]]()
        for object_id, (path, prediction) in predictions.items():
            annotation = read_mask(self.folders[object_id] / frame.name) > 0
            require_image_size(prediction, annotation.shape, path, "its annotation")
            size = (annotation.shape[0], annotation.shape[1])
            scores[object_id] = self.measure(*crop_to_objects(annotation, prediction), size)
        missing = [math.nan] * len(next(iter(scores.values())))
        values = [scores.get(object_id, missing) for object_id in self.folders]
        return np.array(values, np.float64).T, unknown - self.skipped_ids


def list_result_files(results: Path, name: str, folders: Mapping[int, Path]) -> dict[int, Path]:
    """Return the result file of each object with an annotation of this name; ``folders``: annotations by object."""
    separate = any((results / folder.name).is_dir() for folder in folders.values())
    return {
        object_id: results / folder.name / name if separate else results / name
        for object_id, folder in folders.items()
        if (folder / name).is_file()
    }


def read_object_results(
    results: Path, name: str, folders: Mapping[int, Path]
) -> tuple[dict[int, tuple[Path, np.ndarray]], set[int]]:
    """Return the result file and H×W bool mask of each object with an annotation on a frame, and unknown ids."""
    paths, path = list_result_files(results, name, folders), results / name
    if path not in paths.values():
        return {object_id: (path, read_mask(path) > 0) for object_id, path in paths.items()}, set()
    ids = read_mask(path)
    masks = {object_id: (path, ids == object_id) for object_id in paths}
    return masks, find_unknown_ids(ids, [*folders])
