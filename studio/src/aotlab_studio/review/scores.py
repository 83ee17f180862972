"""Scores of the objects of a tracked frame: confidence, area, centre, agreement of both directions, doubts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

LOST_AFTER = 5
"""frames in a row without a confident pixel after which an object counts as lost"""
MIN_CONFIDENCE = 0.6
"""lowest confidence of a visible object; a guess between two gives 0.5"""


@dataclass(frozen=True)
class Score:
    """One object on one frame."""

    confidence: float
    """mean probability over its own pixels, 0 to 1; 0 without pixels"""
    area: int
    """pixels"""
    x: float
    """centre in pixels; 0 without pixels"""
    y: float
    disagreement: float | None = None
    """1 minus the IoU of the two directions; None if only one was tracked"""
    fragment: float = 0.0
    """share of its pixels that are in the largest part away from its main part, 0 to 0.5"""
    contact: float = 0.0
    """share of its outline along which it touches another object of like colour, 0 to 1"""
    flip: float = 0.0
    """share of its pixels in a part that was another object's a frame before, with the same colours, 0 to 1"""

    @property
    def seen(self) -> bool:
        """Whether it has pixels that are its own with enough confidence."""
        return self.area > 0 and self.confidence >= MIN_CONFIDENCE


def measured(
    ids: np.ndarray,
    object_ids: Iterable[int],
    confidence: Mapping[int, float],
    disagreement: Mapping[int, float],
    doubts: Mapping[int, tuple[float, float, float]] | None = None,
) -> dict[str, list[float | None]]:
    """Return the scores of the objects of labels (H×W ids) as JSON values; ``doubts``: fragment, contact and flip."""
    scores: dict[str, list[float | None]] = {}
    rows = np.arange(ids.shape[0], dtype=np.float64)
    columns = np.arange(ids.shape[1], dtype=np.float64)
    for object_id in object_ids:
        mask = ids == object_id
        across, down = mask.sum(0), mask.sum(1)
        area = int(down.sum())
        x = float(across @ columns) / area if area else 0.0
        y = float(down @ rows) / area if area else 0.0
        sure = confidence.get(object_id, 1.0) if area else 0.0
        differ = disagreement.get(object_id)
        scores[str(object_id)] = [
            round(sure, 4), area, round(x, 1), round(y, 1), None if differ is None else round(differ, 4),
        ]  # fmt: skip
        if doubts is not None:
            scores[str(object_id)] += [round(value, 4) for value in doubts.get(object_id, (0.0, 0.0, 0.0))]
    return scores


def disagreement(object_ids: Iterable[int], first: np.ndarray, second: np.ndarray) -> dict[int, float]:
    """Return 1 minus the IoU of each object in two label maps (H×W ids); 0 if neither has it."""
    found = {}
    for object_id in object_ids:
        one, other = first == object_id, second == object_id
        union = int((one | other).sum())
        found[object_id] = 1 - int((one & other).sum()) / union if union else 0.0
    return found


def read_scores(stored: Any) -> dict[int, Score]:
    """Read the values of `measured`; invalid entries are skipped."""
    scores = {}
    for object_id, values in stored.items() if isinstance(stored, dict) else ():
        try:
            confidence, area, x, y, differ, *doubts = values
            fragment, contact, flip = map(float, [*doubts, 0.0, 0.0, 0.0][:3])
            differ = None if differ is None else float(differ)
            score = Score(float(confidence), int(area), float(x), float(y), differ, fragment, contact, flip)
            if all(map(math.isfinite, (*values[:4], differ or 0, fragment, contact, flip))):
                scores[int(object_id)] = score
        except (TypeError, ValueError, OverflowError):
            continue
    return scores


def joined(scores: Mapping[int, Score], resolve: Callable[[int], int]) -> dict[int, Score]:
    """Return scores by resolved object id; those of one id are merged, weighted by area."""
    found: dict[int, Score] = {}
    for object_id, score in scores.items():
        now = resolve(object_id)
        if not now:
            continue
        old = found.get(now)
        found[now] = score if old is None else _sum(old, score)
    return found


def _sum(first: Score, second: Score) -> Score:
    area = first.area + second.area
    share = first.area / area if area else 0.5

    def mean(one: float, other: float) -> float:
        return share * one + (1 - share) * other

    differ = [score.disagreement for score in (first, second) if score.disagreement is not None]
    return Score(
        mean(first.confidence, second.confidence),
        area,
        mean(first.x, second.x),
        mean(first.y, second.y),
        max(differ) if differ else None,
        max(first.fragment, second.fragment),
        max(first.contact, second.contact),
        max(first.flip, second.flip),
    )


class LostFlags:
    """Flags of lost objects: those not visible for `LOST_AFTER` frames in a row, until they are visible again.

    An object is visible if it has a pixel and a confidence of at least `MIN_CONFIDENCE`.
    """

    def __init__(self) -> None:
        self._unseen: dict[int, int] = {}

    def update(self, confidence: Mapping[int, float]) -> dict[int, bool]:
        """Return whether each object is lost, given the next frame's `Prediction.confidence`."""
        unseen = {}
        for object_id, value in confidence.items():
            visible = value > 0 and value >= MIN_CONFIDENCE
            unseen[object_id] = 0 if visible else self._unseen.get(object_id, 0) + 1
        self._unseen = unseen
        return {object_id: count >= LOST_AFTER for object_id, count in unseen.items()}
