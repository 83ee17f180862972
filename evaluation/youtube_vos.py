"""The rules of YouTube-VOS 2018 and 2019: J and F of seen and of unseen categories.

An object counts on the annotated frames after its first one, whose mask is given, to the end of the video; also on
those where it is hidden. The public splits do not tell their ground truth, and their server does not tell whether it
counts the given frame too: numbers made here are for a part of the training set held out.
Source: Xu et al. 2018 and the challenge's guidelines.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aotlab.evaluation.sequence_scores import AnnotatedSequence, ScoringPlan
from aotlab.evaluation.tables import Row, Summary, TableLayout, mean_of

COLUMNS = ("J&F", "J", "F")


def plan_sequence(sequence: AnnotatedSequence) -> ScoringPlan:
    """What YouTube-VOS scores of a video."""
    listed = {stem for item in sequence.objects for stem in item.frames}
    frames = tuple(path for path in sequence.annotations if path.stem in listed)
    counted = np.zeros((len(sequence.objects), len(frames)), dtype=bool)
    for row, item in zip(counted, sequence.objects, strict=True):
        first = item.frames[0]
        row[:] = [path.stem > first for path in frames]
    # an object first seen on the last frame leaves nothing to score, and so do frames before any object counts
    rows, columns = np.asarray(counted.any(axis=1)), np.asarray(counted.any(axis=0))
    kept = [item for item, row in zip(sequence.objects, rows, strict=True) if row]
    return ScoringPlan(
        sequence.name,
        tuple(path for path, used in zip(frames, columns, strict=True) if used),
        ids=tuple(item.identity for item in kept),
        counted=counted[rows][:, columns],
        seen=tuple(item.seen for item in kept),
        strict=False,
    )


def object_row(region: np.ndarray, contour: np.ndarray) -> Row:
    """The `COLUMNS` of one object, from its (n,) values of J and F."""
    j, f = float(region.mean()), float(contour.mean())
    return {"J&F": 50 * (j + f), "J": 100 * j, "F": 100 * f}


def summary(rows: Sequence[Row], seen: Sequence[bool | None]) -> Summary:
    """Means over the objects of seen and of unseen categories; ``overall`` is the mean of these four.

    A group without objects has no value, and then there is no overall one either. ``J&F``, ``J`` and ``F`` are
    over all objects.
    """
    groups = {
        "seen": [row for row, group in zip(rows, seen, strict=True) if group is True],
        "unseen": [row for row, group in zip(rows, seen, strict=True) if group is False],
    }
    parts = {f"{column}_{name}": mean_of(group, column) for name, group in groups.items() for column in "JF"}
    known = [value for value in parts.values() if value is not None]
    overall = sum(known) / 4 if len(known) == 4 else None
    return {"overall": overall, **parts, **{column: mean_of(rows, column) for column in COLUMNS}}


TABLE = TableLayout(COLUMNS, object_row, summary)
