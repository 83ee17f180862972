"""Scoring rules of YouTube-VOS 2018 and 2019: J and F of seen and unseen categories.

An object counts on all annotated frames after its first one, whose mask is given, including frames on which it is
hidden. The ground truth of the public splits is not published, nor whether the server counts the given frame; these
rules are for held-out parts of the training set.
Source: Xu et al. 2018 and the challenge's guidelines.
"""

from collections.abc import Sequence

import numpy as np

from aotlab.dataloaders.benchmarks.labeled_video import Video
from aotlab.evaluation.rows import Row, Summary, column_mean, mean_or_none, select_rows
from aotlab.evaluation.sequence_scores import LabelScorer, ScoredObject, ScoringPlan

COLUMNS = ("J&F", "J", "F")


def plan_sequence(sequence: Video) -> ScoringPlan:
    """Plan the scoring of a YouTube-VOS video."""
    listed = {stem for item in sequence.objects for stem in item.frames}
    frames = [path for path in sequence.annotations if path.stem in listed]
    stems = [path.stem for path in frames]
    starts = {item: stems.index(item.frames[0]) + 1 for item in sequence.objects}
    counted = {item: start for item, start in starts.items() if start < len(frames)}
    first = min(counted.values(), default=0)
    return ScoringPlan(
        sequence.name,
        tuple(frames[first:]),
        tuple(ScoredObject(item.object_id, item.seen_in_training) for item in counted),
        LabelScorer(tuple(item.object_id for item in counted), refuse_unknown_ids=False),
        is_counted=np.array([np.arange(first, len(frames)) >= start for start in counted.values()], bool),
    )


def summarize(rows: Sequence[Row], seen: Sequence[bool | None]) -> Summary:
    """Return the means over objects of seen and unseen categories; ``overall`` is the mean of these four.

    The values of an empty group are None, and then ``overall`` is too. ``J&F``, ``J`` and ``F`` cover all objects.
    """
    parts = {
        f"{column}_{name}": column_mean(select_rows(rows, seen, group), column)
        for name, group in (("seen", True), ("unseen", False))
        for column in "JF"
    }
    return {"overall": mean_or_none(parts.values()), **parts, **{name: column_mean(rows, name) for name in COLUMNS}}
