"""Scores of the objects of a tracked frame: confidence, area, center, agreement of both directions, signals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from aotlab import LostFlags
from aotlab_studio.review.signals import Signals


@dataclass(frozen=True)
class Score:
    """One object on one frame."""

    confidence: float
    """mean probability over its own pixels, 0 to 1; 0 without pixels"""
    area: int
    """pixels"""
    x: float
    """center in pixels; 0 without pixels"""
    y: float
    disagreement: float | None = None
    """1 minus the IoU of the two directions; None if only one was tracked"""
    fragment: float = 0.0
    """share of its pixels that are in the largest part away from its main part, 0 to 0.5"""
    contact: float = 0.0
    """share of its outline along which it touches another object of similar color, 0 to 1"""
    flip: float = 0.0
    """share of its pixels in a part that was another object's a frame before, with the same colors, 0 to 1"""

    @property
    def seen(self) -> bool:
        """Whether it has pixels that are its own with enough confidence."""
        return self.area > 0 and self.confidence >= LostFlags.MIN_CONFIDENCE


def measure_scores(
    labels: np.ndarray,
    object_ids: Iterable[int],
    confidence: Mapping[int, float],
    disagreement: Mapping[int, float],
    signals: Mapping[int, Signals] | None = None,
) -> dict[str, list[float | None]]:
    """Return the scores of the objects of labels (H×W ids) as JSON values, for `read_scores`."""
    scores: dict[str, list[float | None]] = {}
    rows = np.arange(labels.shape[0], dtype=np.float64)
    columns = np.arange(labels.shape[1], dtype=np.float64)
    for object_id in object_ids:
        mask = labels == object_id
        across, down = mask.sum(0), mask.sum(1)
        area = int(down.sum())
        x = float(across @ columns) / area if area else 0.0
        y = float(down @ rows) / area if area else 0.0
        value = confidence.get(object_id, 1.0) if area else 0.0
        differ = disagreement.get(object_id)
        scores[str(object_id)] = [
            round(value, 4), area, round(x, 1), round(y, 1), None if differ is None else round(differ, 4),
        ]  # fmt: skip
        if signals is not None:
            found = signals.get(object_id, Signals())
            scores[str(object_id)] += [
                round(share, 4) for share in (found.fragment, found.contact, found.flip)
            ]
    return scores


def measure_disagreement(
    object_ids: Iterable[int], first: np.ndarray, second: np.ndarray
) -> dict[int, float]:
    """Return 1 minus the IoU of each object in two label maps (H×W ids); 0 if neither has it."""
    disagreement = {}
    for object_id in object_ids:
        mask, other = first == object_id, second == object_id
        union = int((mask | other).sum())
        disagreement[object_id] = 1 - int((mask & other).sum()) / union if union else 0.0
    return disagreement


def read_scores(stored: Any) -> dict[int, Score]:
    """Read the values of `measure_scores`; invalid entries are skipped."""
    scores = {}
    for object_id, values in stored.items() if isinstance(stored, dict) else ():
        try:
            confidence, area, x, y, differ, *signals = values
            fragment, contact, flip = map(float, [*signals, 0.0, 0.0, 0.0][:3])
            differ = None if differ is None else float(differ)
            score = Score(float(confidence), int(area), float(x), float(y), differ, fragment, contact, flip)
            if all(map(math.isfinite, (*values[:4], differ or 0, fragment, contact, flip))):
                scores[int(object_id)] = score
        except (TypeError, ValueError, OverflowError):
            continue
    return scores


def merge_scores(scores: Mapping[int, Score], resolve: Callable[[int], int]) -> dict[int, Score]:
    """Return scores by resolved object id (0: removed); those of one id are merged, weighted by area."""
    merged: dict[int, Score] = {}
    for object_id, score in scores.items():
        target = resolve(object_id)
        if target:
            merged[target] = _merge(merged[target], score) if target in merged else score
    return merged


def _merge(first: Score, second: Score) -> Score:
    area = first.area + second.area
    share = first.area / area if area else 0.5

    def mean(value: float, other: float) -> float:
        return share * value + (1 - share) * other

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
