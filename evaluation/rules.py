"""Scoring rules of all benchmarks by name, with the rules of VISOR and VOST, which vary DAVIS's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from aotlab.dataloaders.benchmarks.labeled_video import Video
from aotlab.evaluation import davis, lvos, mosev2, sav, youtube_vos
from aotlab.evaluation.metrics import ObjectMetric, region_similarity
from aotlab.evaluation.sequence_scores import ScoringPlan
from aotlab.evaluation.tables import DAVIS_TABLE, Row, Summary, TableLayout, column_mean, compute_statistics, mean_row


@dataclass(frozen=True)
class Rules:
    """Scoring plan and table layout of a benchmark."""

    plan: Callable[[Video], ScoringPlan]
    table: TableLayout
    min_frames: int = 3
    """Minimum number of annotated frames in a sequence."""


def summarize_visor(rows: Sequence[Row], seen: Sequence[bool | None]) -> Summary:
    """Return the means over all objects, and over those in kitchens unseen in training (Darkhalil et al. 2022)."""
    unseen = {f"{column}_unseen": column_mean(rows, column, seen, False) for column in ("J&F", "J", "F")}
    return {**mean_row(rows), **unseen}


def plan_vost(sequence: Video) -> ScoringPlan:
    """Plan the scoring of J only; unknown predicted ids are background (Tokmakov et al. 2023, public evaluator)."""
    metric = ObjectMetric(measure_region, num_values=1)
    return replace(davis.plan_sequence(sequence), metric=metric, refuse_unknown_ids=False)


def measure_region(annotation: np.ndarray, prediction: np.ndarray, size: tuple[int, int]) -> tuple[float]:
    """Return J; a function for `ObjectMetric.measure`."""
    return (region_similarity(annotation, prediction),)


def make_vost_row(region: np.ndarray) -> Row:
    """Return J (n,) of one object over all frames, and as J_tr over the last quarter, after the transformation.

    The last quarter starts at three quarters, rounded down.
    """
    return compute_statistics("J", region) | compute_statistics("J_tr", region[3 * len(region) // 4 :])


VOST_COLUMNS = ("J", "J-Recall", "J-Decay", "J_tr", "J_tr-Recall", "J_tr-Decay")
VOST_TABLE = replace(DAVIS_TABLE, columns=VOST_COLUMNS, row=make_vost_row)
VISOR_TABLE = replace(DAVIS_TABLE, summary=summarize_visor)

RULES: dict[str, Rules] = {
    "davis": Rules(davis.plan_sequence, DAVIS_TABLE),
    "folder": Rules(partial(davis.plan_sequence, present_ids=True), DAVIS_TABLE),
    "folder_new_objects": Rules(davis.plan_late_objects, DAVIS_TABLE),
    "lvos": Rules(lvos.plan_sequence, lvos.TABLE, min_frames=2),
    "mosev2": Rules(mosev2.plan_sequence, mosev2.TABLE),
    "sav": Rules(sav.plan_sequence, DAVIS_TABLE),
    # the last frame counts
    "visor": Rules(partial(davis.plan_sequence, drop_last=False), VISOR_TABLE, min_frames=2),
    "vost": Rules(plan_vost, VOST_TABLE),
    "youtube_vos": Rules(youtube_vos.plan_sequence, youtube_vos.TABLE, min_frames=2),
}
