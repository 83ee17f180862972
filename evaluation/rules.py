"""Scoring rules of all benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aotlab.evaluation import davis, folder, lvos, mosev2, sav, visor, vost, youtube_vos
from aotlab.evaluation.sequence_scores import AnnotatedSequence, ScoringPlan
from aotlab.evaluation.tables import DAVIS_TABLE, TableLayout


@dataclass(frozen=True)
class Rules:
    """Scoring plan and table layout of a benchmark."""

    plan: Callable[[AnnotatedSequence], ScoringPlan]
    table: TableLayout
    least: int = 3
    """minimum number of annotated frames in a sequence"""


RULES: dict[str, Rules] = {
    "davis": Rules(davis.plan_sequence, DAVIS_TABLE),
    "folder": Rules(folder.plan_sequence, DAVIS_TABLE),
    "folder_late": Rules(folder.plan_with_late_objects, DAVIS_TABLE),
    "lvos": Rules(lvos.plan_sequence, lvos.TABLE, least=2),
    "mosev2": Rules(mosev2.plan_sequence, mosev2.TABLE),
    "sav": Rules(sav.plan_sequence, DAVIS_TABLE),
    "visor": Rules(visor.plan_sequence, visor.TABLE, least=2),
    "vost": Rules(vost.plan_sequence, vost.TABLE),
    "youtube_vos": Rules(youtube_vos.plan_sequence, youtube_vos.TABLE, least=2),
}
