"""Scoring of PNGs of object ids by the rules of DAVIS, which most benchmarks share."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from aotlab.dataloaders.labeled_video import Video
from aotlab.evaluation.metrics import Measure, crop_to_objects, measure_region_and_contour
from aotlab.evaluation.sequence_scores import (
    METRICS,
    FrameScores,
    ScoredObject,
    ScoringPlan,
    SequenceScores,
    find_unknown_ids,
    join_scores,
    raise_if_unknown,
)
from aotlab.media.images import require_image_size, to_array
from aotlab.media.masks import VOID, is_void, list_ids, read_mask
from aotlab.media.names import natural_sort
from aotlab.media.smoothing import warn_if_smoothed
from aotlab.utils.errors import require
from aotlab.utils.numbers import POSITIVE_COUNT
from aotlab.utils.text import shorten

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelScorer:
    """Scorer of a PNG of ids for each frame."""

    ids: tuple[int, ...]
    """Ids of the scored objects."""
    measure: Measure = measure_region_and_contour
    merge_ids: bool = False
    """All ids are one object."""
    void_is_object: bool = False
    """255 is part of merged ids, as in the first release of DAVIS 2016."""
    refuse_unknown_ids: bool = True
    """Raise on a predicted id that is not an object of the sequence; false: report it and treat it as background."""

    def result_files(self, results: Path, frame: Path) -> list[Path]:
        return [results / f"{frame.stem}.png"]

    def score(self, results: Path, frame: Path) -> FrameScores:
        (file,) = self.result_files(results, frame)
        return self.score_labels(str(file), read_mask(frame), read_mask(file))

    def score_labels(self, name: str, annotation: np.ndarray, prediction: np.ndarray) -> FrameScores:
        """Score the H×W ids of a frame; 255 in a uint8 annotation is void. ``name``: the prediction, for messages."""
        require_image_size(prediction, annotation.shape, name, "its annotation")
        size = (annotation.shape[0], annotation.shape[1])
        if self.merge_ids:
            is_gray = prediction.dtype == np.uint8 and prediction.max() == VOID and list_ids(prediction)
            problem, remedy = "white beside gray values, like a soft mask", "threshold it at half"
            require(not is_gray, problem, subject=name, remedy=remedy)
            warn_if_smoothed(prediction, name)
            is_object = (annotation > 0) & (self.void_is_object | ~is_void(annotation))
            annotation, prediction = is_object.view(np.uint8), (prediction > 0).view(np.uint8)
        annotation, prediction = crop_to_objects(annotation, prediction)
        unknown = find_unknown_ids(prediction, self.ids)
        if self.refuse_unknown_ids:
            raise_if_unknown(unknown, self.ids, name)
        masks = ((annotation == object_id, prediction == object_id) for object_id in self.ids)
        return np.array([self.measure(*crop_to_objects(*pair), size) for pair in masks], np.float64).T, unknown


def plan_labels(
    video: Video,
    measure: Measure = measure_region_and_contour,
    *,
    drop_last: bool = True,
    present_ids: bool = False,
    refuse_unknown_ids: bool = True,
    strict: bool = False,
) -> ScoringPlan:
    """Plan the scoring of a video.

    Args:
        drop_last: skip the last annotated frame as well as the first.
        present_ids: score the ids in the first annotation, instead of 1 to the largest.
        refuse_unknown_ids: raise on other predicted ids, instead of treating them as background.
        strict: score ids below the largest that no annotation has, whose score is 1, instead of leaving them out.
    """
    ordered = natural_sort(video.annotations)
    scored = tuple(ordered[1:-1] if drop_last else ordered[1:])
    require(scored, "no annotated frame between the first and the last, which are not scored", subject=video.name)
    first = read_mask(ordered[0])
    warn_if_smoothed(first, ordered[0])
    # In a later frame, 255 may be void around an absent object; only the first frame decides.
    void_is_object = video.merge_ids and first.max() == VOID and not list_ids(first)
    first_ids = (VOID,) if void_is_object else find_first_ids(first, str(ordered[0]))
    ids = first_ids if present_ids else tuple(range(1, first_ids[-1] + 1))
    ids = (1,) if video.merge_ids else ids
    if not (strict or video.merge_ids) and (absent := find_absent_ids(ordered, ids, first_ids)):
        listed = ", ".join(map(str, sorted(absent)))
        log.warning("%s: no annotation has object %s, left out; --strict-protocol scores it", video.name, listed)
        ids = tuple(object_id for object_id in ids if object_id not in absent)
    objects = tuple(ScoredObject(object_id, video.seen_in_training) for object_id in ids)
    scorer = LabelScorer(ids, measure, video.merge_ids, void_is_object, refuse_unknown_ids)
    return ScoringPlan(video.name, scored, objects, scorer)


def find_absent_ids(annotations: Sequence[Path], ids: Collection[int], first_ids: Collection[int]) -> set[int]:
    """Return the ids that no annotation has; reads the annotations until none is left."""
    absent = {*ids} - {*first_ids}
    for path in annotations if absent else ():
        absent -= list_ids(read_mask(path))
        if not absent:
            break
    return absent


def score_labels(
    annotations: Sequence[ArrayLike],
    prediction: Sequence[ArrayLike],
    *,
    ids: Collection[int] | None = None,
    measure: Measure = measure_region_and_contour,
    metrics: tuple[str, ...] = METRICS,
) -> SequenceScores:
    """Score T predicted label maps against T annotations in memory.

    >>> scores = score_labels(annotations, prediction)
    >>> scores.mean, scores.J, scores.F  # J&F, J and F from 0 to 1

    Args:
        annotations: T arrays, tensors on the CPU or lists of H×W ids; 255 in uint8 is void.
        prediction: T arrays of the same size; the first and last are ignored.
        ids: objects to score; None: 1 to K, as in DAVIS, where an id that no annotation has scores 1.
        measure: measure of a benchmark; J and F by default.
        metrics: names of the scores that the measure returns.

    Raises:
        InputError: no object, other ids, different numbers or sizes of arrays, fewer than three, an array that is not
            H×W integers or bools from 0, or a predicted id that is not scored.
    """
    count = len(annotations)
    require(
        2 < count == len(prediction),
        f"{len(prediction)} predictions, {count} annotations: give equally many, 3 or more",
    )
    truth = [_to_labels("annotation", labels) for labels in annotations[:-1]]
    predicted = [_to_labels("prediction", labels) for labels in prediction[1:-1]]
    ids = range(1, find_first_ids(truth[0], "frame 0")[-1] + 1) if ids is None else ids
    is_valid = isinstance(ids, Collection) and len(ids) and all(object_id in POSITIVE_COUNT for object_id in ids)
    require(is_valid, f"expected a list of ids from 1, got {shorten(repr(ids))}", subject="ids")
    scorer = LabelScorer(tuple(ids), measure)
    plan = ScoringPlan("", (), tuple(map(ScoredObject, scorer.ids)), scorer)
    pairs = enumerate(zip(truth[1:], predicted, strict=True), start=1)
    return join_scores(plan, [scorer.score_labels(f"frame {index}", *pair) for index, pair in pairs], metrics)


def _to_labels(name: str, value: ArrayLike) -> np.ndarray:
    """Return H×W object ids as an array; raise `InputError` for others."""
    labels = to_array(name, value)
    subject = f"{name} of shape {labels.shape}"
    require(labels.ndim == 2, "expected object ids H×W on each frame", subject=subject, remedy="drop other axes")
    require(labels.dtype.kind in "biu", f"object ids must be integers, got {labels.dtype}", subject=name)
    require(labels.min(initial=0) >= 0, f"object ids must be at least 0, got {labels.min(initial=0)}", subject=name)
    return labels


def find_first_ids(first: np.ndarray, name: str) -> tuple[int, ...]:
    """Return the ids of the first annotation, H×W ids, in ascending order; ``name``: the annotation, for messages."""
    ids = tuple(sorted(list_ids(first)))
    require(
        ids,
        "no object in the first annotation",
        subject=name,
        remedy="expected ids from 1 (255 is void in 8-bit masks)",
    )
    return ids
