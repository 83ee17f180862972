"""The rules for folders of a user's own: those of DAVIS, with ids as found.

Ids may have gaps. Where masks of later frames bring new objects, an object counts from the frame on where annotation or
prediction first has it, and objects that the scored annotations never have do not count, as the evaluators have it that
take two trees of folders.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aotlab.evaluation import davis
from aotlab.evaluation.sequence_scores import AnnotatedSequence, ScoringPlan
from aotlab.masks.id_maps import VOID, read_mask


def plan_sequence(sequence: AnnotatedSequence) -> ScoringPlan:
    """What is scored of a sequence: the objects of the first annotation, all frames but the first and last.

    Raises:
        InputError: fewer than three frames, no object in the first annotation.
    """
    plan = davis.plan_sequence(sequence)
    if plan.merge:
        return plan
    first = read_mask(min(sequence.annotations, key=lambda path: path.stem))
    return replace(plan, ids=tuple(sorted(_ids(first))), strict=False)


def plan_with_late_objects(sequence: AnnotatedSequence) -> ScoringPlan:
    """What is scored where later masks bring new objects; reads all annotations.

    Raises:
        InputError: fewer than three frames, no object in the first annotation.
    """
    plan = davis.plan_sequence(sequence)
    if plan.merge:
        return plan
    found = [_ids(read_mask(path)) for path in plan.frames]
    ids = tuple(sorted(set().union(*found)))
    present = np.array([[identity in frame for frame in found] for identity in ids], dtype=bool)
    return replace(plan, ids=ids, present=present.reshape(len(ids), len(found)), strict=False)


def _ids(labels: np.ndarray) -> set[int]:
    """The objects of H×W labels."""
    return set(np.unique(labels).tolist()) - {0, VOID}
