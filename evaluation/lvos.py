"""Scoring rules of LVOS, as in its evaluator since version 2.

The metadata list every fifth frame of an object. The first of these and the last one of ``frame_nums`` do not count;
frames of ``frame_nums`` that are not listed count as 0. V is the variation of the per-frame score over time.
Source: Hong et al. 2023 and the public evaluator.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aotlab.dataloaders.benchmarks.labeled_video import Video
from aotlab.evaluation.rows import Row, Summary, column_mean, make_davis_row, mean_or_none, select_rows
from aotlab.evaluation.sequence_scores import LabelScorer, ScoredObject, ScoringPlan
from aotlab.media.matching import natural_sort
from aotlab.utils.files import require_none_missing

COLUMNS = ("J&F", "J", "F", "V")


def plan_sequence(sequence: Video) -> ScoringPlan:
    """Plan the scoring of an LVOS video."""
    annotations = {path.stem: path for path in sequence.annotations}
    items = [item for item in sequence.objects if item.num_frames > 2]
    counted_stems = [frozenset(item.frames[1 : item.num_frames - 1]) for item in items]
    stems = natural_sort(frozenset[str]().union(*counted_stems))
    missing = [Path(sequence.name, f"{stem}.png") for stem in stems if stem not in annotations]
    require_none_missing(missing, "the metadata lists these annotations")
    objects = [
        ScoredObject(item.object_id, sequence.seen_in_training, missing_frames=item.num_frames - 2 - len(frames))
        for item, frames in zip(items, counted_stems, strict=True)
    ]
    return ScoringPlan(
        sequence.name,
        tuple(annotations[stem] for stem in stems),
        tuple(objects),
        LabelScorer(tuple(item.object_id for item in items), refuse_unknown_ids=False),
        is_counted=np.array([[stem in frames for stem in stems] for frames in counted_stems], dtype=bool),
    )


def make_row(region: np.ndarray, contour: np.ndarray) -> Row:
    """Return `make_davis_row` and V of one object from its J and F, (n,) each."""
    mean = (region + contour) / 2
    deviation = float(np.sqrt(np.round(mean.var(), 4)))  # the public evaluator rounds the variance
    return {**make_davis_row(region, contour), "V": 100 * deviation}


def summarize(rows: Sequence[Row], seen: Sequence[bool | None]) -> Summary:
    """Return the means of seen and unseen videos and their mean; over all objects if no group is known.

    An empty group has the value None, and so has the mean of both.
    """
    if all(group is None for group in seen):
        return {column: column_mean(rows, column) for column in COLUMNS}
    groups = [select_rows(rows, seen, group) for group in (True, False)]
    values: Summary = {}
    for column in ("J", "F", "V"):
        parts = [column_mean(group, column) for group in groups]
        values |= {column: mean_or_none(parts), f"{column}_seen": parts[0], f"{column}_unseen": parts[1]}
    return {"J&F": mean_or_none([values["J"], values["F"]]), **values}
