"""Scoring rules of VISOR: those of DAVIS 2017, with the last frame included. Source: Darkhalil et al. 2022."""

from __future__ import annotations

from collections.abc import Sequence

from aotlab.evaluation import davis
from aotlab.evaluation.sequence_scores import AnnotatedSequence, ScoringPlan
from aotlab.evaluation.tables import COLUMNS, Row, Summary, TableLayout, mean_of, mean_row, measure_row


def plan_sequence(sequence: AnnotatedSequence) -> ScoringPlan:
    """Plan the scoring of a VISOR sequence: all annotated frames after the first, at least one."""
    return davis.plan_sequence(sequence, drop_last=False)


def summary(rows: Sequence[Row], seen: Sequence[bool | None]) -> Summary:
    """Return the means over all objects, and over those in kitchens unseen in training."""
    unseen = [row for row, group in zip(rows, seen, strict=True) if group is False]
    return {
        **mean_row(rows),
        **{f"{column}_unseen": mean_of(unseen, column) for column in ("J&F", "J", "F")},
    }


TABLE = TableLayout(COLUMNS, measure_row, summary)
