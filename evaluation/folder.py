"""Scoring rules for a user's folders: those of DAVIS, with arbitrary ids.

Ids may have gaps. With new objects in later frames, an object counts from the first frame on which the annotation or
the prediction has it; objects missing from all scored annotations do not count, as in evaluators that compare two
folder trees.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aotlab.evaluation import davis
from aotlab.evaluation.sequence_scores import AnnotatedSequence, ScoringPlan
from aotlab.masks.id_maps import VOID, read_mask


def plan_sequence(sequence: AnnotatedSequence) -> ScoringPlan:
    """Plan the scoring of all frames but the first and last, for the objects of the first annotation; as in `davis`."""
    plan = davis.plan_sequence(sequence)
    if plan.merge:
        return plan
    first = read_mask(min(sequence.annotations, key=lambda path: path.stem))
    return replace(plan, ids=tuple(sorted(_ids(first))), strict=False)


def plan_with_late_objects(sequence: AnnotatedSequence) -> ScoringPlan:
    """Plan the scoring of a sequence with new objects in later frames; reads all annotations; raises as in `davis`."""
    plan = davis.plan_sequence(sequence)
    if plan.merge:
        return plan
    found = [_ids(read_mask(path)) for path in plan.frames]
    ids = tuple(sorted(set().union(*found)))
    present = np.array([[object_id in frame for frame in found] for object_id in ids], dtype=bool)
    return replace(plan, ids=ids, present=present.reshape(len(ids), len(found)), strict=False)


def _ids(labels: np.ndarray) -> set[int]:
    return set(np.unique(labels).tolist()) - {0, VOID}
