"""Scoring rules of VOST: J over all frames and over the frames after the transformation.

Objects and frames are those of DAVIS; unknown predicted ids are background. J_tr is J over the last quarter
of the scored frames. Source: Tokmakov et al. 2023 and the public evaluator.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aotlab.evaluation import davis
from aotlab.evaluation.sequence_scores import AnnotatedSequence, ScoringPlan
from aotlab.evaluation.tables import Row, TableLayout, plain_summary, summarise

COLUMNS = ("J", "J-Recall", "J-Decay", "J_tr", "J_tr-Recall", "J_tr-Decay")


def plan_sequence(sequence: AnnotatedSequence) -> ScoringPlan:
    """Plan the scoring of a VOST sequence; raises as in `davis`."""
    return replace(davis.plan_sequence(sequence), contour=False, strict=False)


def object_row(region: np.ndarray, contour: np.ndarray) -> Row:
    """Return the `COLUMNS` of one object from its J (n,); the tail starts at three quarters, rounded down."""
    whole, tail = summarise(region), summarise(region[3 * len(region) // 4 :])
    fractions = (whole.mean, whole.recall, whole.decay, tail.mean, tail.recall, tail.decay)
    return {column: 100 * value for column, value in zip(COLUMNS, fractions, strict=True)}


TABLE = TableLayout(COLUMNS, object_row, plain_summary)
