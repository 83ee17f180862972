"""Scoring rules of SA-V: overlapping objects, each in a separate folder and scored separately.

An object's first and last annotated frame do not count, nor do frames before the first pixel of its annotation or
prediction; objects without pixels in their scored annotations are skipped.
Source: Ravi et al. 2024 and the public evaluator.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aotlab.dataloaders.benchmarks.labeled_video import Video
from aotlab.evaluation.metrics import crop_to_objects, measure_region_and_contour
from aotlab.evaluation.sequence_scores import FrameScores, ScoredObject, ScoringPlan, find_unknown_ids
from aotlab.media.images import require_image_size
from aotlab.media.masks import read_mask
from aotlab.media.matching import list_image_files, natural_sort


@dataclass(frozen=True)
class ObjectScorer:
    """Scorer of objects that may overlap.

    Results are id PNGs, or one folder of binary PNGs per object, named like its annotations.
    """

    folders: Mapping[int, Path]
    """Annotation folder of each scored object: one binary PNG per frame."""
    skipped_ids: frozenset[int]
    """Ids of the objects that are not scored."""

    def result_files(self, results: Path, frame: Path) -> list[Path]:
        return [*dict.fromkeys(list_result_files(results, frame.name, self.folders).values())]

    def score(self, results: Path, frame: Path) -> FrameScores:
        """Score a frame; objects without an annotation on it have NaN."""
        predictions, unknown = read_object_results(results, frame.name, self.folders)
        values = np.full((2, len(self.folders)), np.nan)
        for index, (object_id, folder) in enumerate(self.folders.items()):
            if object_id in predictions:
                path, prediction = predictions[object_id]
                annotation = read_mask(folder / frame.name) > 0
                require_image_size(prediction, annotation.shape, path, "its annotation")
                size = (annotation.shape[0], annotation.shape[1])
                values[:, index] = measure_region_and_contour(*crop_to_objects(annotation, prediction), size)
        return values, unknown - self.skipped_ids


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


def plan_sequence(sequence: Video) -> ScoringPlan:
    """Plan the scoring of an SA-V video; reads all annotations."""
    folders, present = sequence.object_folders, dict[int, dict[str, bool]]()
    for object_id in sorted(folders):
        files = list_image_files(folders[object_id], (".png",))[1:-1]
        has_pixels = {path.stem: bool(read_mask(path).any()) for path in files}
        if any(has_pixels.values()):
            present[object_id] = has_pixels
    stems = natural_sort({stem for frames in present.values() for stem in frames})
    return ScoringPlan(
        sequence.name,
        tuple(Path(f"{stem}.png") for stem in stems),
        tuple(ScoredObject(object_id, folder=folders[object_id].name) for object_id in present),
        ObjectScorer(
            {object_id: folders[object_id] for object_id in present}, frozenset(folders.keys() - present.keys())
        ),
        is_counted=np.array([[stem in frames for stem in stems] for frames in present.values()], bool),
        object_present=np.array([[frames.get(stem, False) for stem in stems] for frames in present.values()], bool),
    )
