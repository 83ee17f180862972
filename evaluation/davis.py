"""Scoring rules of DAVIS 2016 and 2017 (semi-supervised), shared by MOSE, VISOR, long videos and a user's folders.

Objects are ids 1 to K, where K is the largest id of the first annotation; in a user's folder, the ids in that
annotation. The first and, except in VISOR, the last annotated frame are not scored. Void pixels of an annotation (255
in 8 bits) are background. For DAVIS 2016 all ids are merged into one, and gray values of soft masks are refused.
Source: Pont-Tuset et al. 2017 and the public evaluator.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from aotlab.dataloaders.benchmarks.labeled_video import Video
from aotlab.evaluation.metrics import Measure, measure_region_and_contour
from aotlab.evaluation.rows import Row, Summary, mean_row
from aotlab.evaluation.sequence_scores import LabelScorer, ScoredObject, ScoringPlan, SequenceScores, join_scores
from aotlab.media.images import to_array
from aotlab.media.masks import VOID, list_ids, read_mask
from aotlab.media.matching import natural_sort
from aotlab.utils.errors import require
from aotlab.utils.numbers import POSITIVE_COUNT
from aotlab.utils.text import shorten


def plan_sequence(
    sequence: Video,
    *,
    drop_last: bool = True,
    present_ids: bool = False,
    refuse_unknown_ids: bool = True,
    measure: Measure = measure_region_and_contour,
) -> ScoringPlan:
    """Plan the scoring of a sequence.

    Args:
        drop_last: skip the last annotated frame as well as the first.
        present_ids: score the ids in the first annotation, instead of 1 to the largest.
        refuse_unknown_ids: raise on other predicted ids, instead of treating them as background.
        measure: scores of an object on a frame.
    """
    ordered = natural_sort(sequence.annotations)
    scored = tuple(ordered[1:-1] if drop_last else ordered[1:])
    require(scored, "no annotated frame between the first and the last, which are not scored", subject=sequence.name)
    first = read_mask(ordered[0])
    # In a later frame, 255 may be void around an absent object; only the first frame decides.
    void_is_object = sequence.merge_ids and first.max() == VOID and not list_ids(first)
    first_ids = (VOID,) if void_is_object else find_first_ids(first, str(ordered[0]))
    ids = first_ids if present_ids else tuple(range(1, first_ids[-1] + 1))
    ids = (1,) if sequence.merge_ids else ids
    objects = tuple(ScoredObject(object_id, sequence.seen_in_training) for object_id in ids)
    scorer = LabelScorer(ids, sequence.merge_ids, void_is_object, refuse_unknown_ids, measure)
    return ScoringPlan(sequence.name, scored, objects, scorer)


def plan_late_objects(sequence: Video) -> ScoringPlan:
    """Plan the scoring of a user's folder with new objects in later frames; reads all annotations.

    An object counts from the first frame on which the annotation or the prediction has it; objects missing from all
    scored annotations do not count, as in evaluators that compare two folder trees.
    """
    plan = plan_sequence(sequence)
    if sequence.merge_ids:
        return plan
    ids_by_frame = [list_ids(read_mask(path)) for path in plan.frames]
    ids = sorted(set().union(*ids_by_frame))
    present = np.array([[object_id in frame for frame in ids_by_frame] for object_id in ids], bool)
    return replace(
        plan,
        objects=tuple(map(ScoredObject, ids)),
        scorer=LabelScorer(tuple(ids), refuse_unknown_ids=False),
        object_present=present.reshape(len(ids), len(plan.frames)),
    )


def summarize(rows: Sequence[Row], seen: Sequence[bool | None]) -> Summary:
    """Return the means over all objects."""
    return dict(mean_row(rows))


def score_labels(
    annotations: Sequence[ArrayLike],
    prediction: Sequence[ArrayLike],
    *,
    ids: Collection[int] | None = None,
) -> SequenceScores:
    """Score T predicted label maps against T annotations in memory.

    >>> scores = score_labels(annotations, prediction)
    >>> scores.mean, scores.J, scores.F  # J&F, J and F from 0 to 1

    Args:
        annotations: T arrays, tensors on the CPU or lists of H×W ids; 255 in uint8 is void.
        prediction: T arrays of the same size; the first and last are ignored.
        ids: objects to score; None: 1 to K, as in DAVIS, where an id that no annotation has scores 1.

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
    scorer = LabelScorer(tuple(ids))
    plan = ScoringPlan("", (), tuple(map(ScoredObject, scorer.ids)), scorer)
    pairs = enumerate(zip(truth[1:], predicted, strict=True), start=1)
    return join_scores(plan, [scorer.score_labels(f"frame {index}", *pair) for index, pair in pairs])


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
