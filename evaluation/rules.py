"""Scoring rules of all benchmarks by name, with the rules of VISOR and VOST, which vary DAVIS's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from aotlab.dataloaders.benchmarks.labeled_video import Video
from aotlab.evaluation import davis, lvos, mosev2, sav, youtube_vos
from aotlab.evaluation.metrics import region_similarity
from aotlab.evaluation.rows import (
    COLUMNS,
    Row,
    Summary,
    column_mean,
    compute_statistics,
    make_davis_row,
    mean_row,
    select_rows,
)
from aotlab.evaluation.sequence_scores import ScoringPlan


def summarize_davis(rows: Sequence[Row], seen: Sequence[bool | None]) -> Summary:
    """Return the means over all objects."""
    return {**mean_row(rows)}


@dataclass(frozen=True)
class Rules:
    """Scoring rules of a benchmark: the frames and objects that count, and the table of their scores."""

    plan: Callable[[Video], ScoringPlan]
    columns: tuple[str, ...] = COLUMNS
    """Columns of the table."""
    make_row: Callable[..., Row] = make_davis_row
    """Function from the values of J, F and further scores of an object, (n,) each, to its row."""
    summarize: Callable[[Sequence[Row], Sequence[bool | None]], Summary] = summarize_davis
    """Function from all rows, and whether the category of each occurs in training, to the benchmark's summary."""
    min_frames: int = 3
    """Minimum number of annotated frames in a sequence."""


def summarize_visor(rows: Sequence[Row], seen: Sequence[bool | None]) -> Summary:
    """Return the means over all objects, and over those in kitchens unseen in training (Darkhalil et al. 2022)."""
    unseen = select_rows(rows, seen, False)
    return {**mean_row(rows), **{f"{column}_unseen": column_mean(unseen, column) for column in ("J&F", "J", "F")}}


def measure_region(annotation: np.ndarray, prediction: np.ndarray, size: tuple[int, int]) -> tuple[float]:
    """Return J, a `Measure`."""
    return (region_similarity(annotation, prediction),)


def make_vost_row(region: np.ndarray) -> Row:
    """Return J (n,) of one object over all frames, and as J_tr over the last quarter, after the transformation.

    The last quarter starts at three quarters, rounded down.
    """
    return compute_statistics("J", region) | compute_statistics("J_tr", region[3 * len(region) // 4 :])


VOST_COLUMNS = ("J", "J-Recall", "J-Decay", "J_tr", "J_tr-Recall", "J_tr-Decay")

RULES: dict[str, Rules] = {
    "davis": Rules(davis.plan_sequence),
    "folder": Rules(partial(davis.plan_sequence, present_ids=True, refuse_unknown_ids=False)),
    "folder_new_objects": Rules(davis.plan_late_objects),
    "lvos": Rules(lvos.plan_sequence, lvos.COLUMNS, lvos.make_row, lvos.summarize, min_frames=2),
    "mosev2": Rules(mosev2.plan_sequence, mosev2.COLUMNS, mosev2.make_row, mosev2.summarize),
    "sav": Rules(sav.plan_sequence),
    # the last frame counts
    "visor": Rules(partial(davis.plan_sequence, drop_last=False), summarize=summarize_visor, min_frames=2),
    # J only (Tokmakov et al. 2023, public evaluator)
    "vost": Rules(
        partial(davis.plan_sequence, refuse_unknown_ids=False, measure=measure_region), VOST_COLUMNS, make_vost_row
    ),
    "youtube_vos": Rules(youtube_vos.plan_sequence, youtube_vos.COLUMNS, summarize=youtube_vos.summarize, min_frames=2),
}
