"""What is known of each object on a tracked frame: how sure, how large, where, and whether both directions agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LOST_AFTER = 5
"""frames in a row without a confident pixel after which an object counts as lost"""
MIN_CONFIDENCE = 0.6
"""least confidence of an object that is visible; a guess between two gives 0.5"""


@dataclass(frozen=True)
class Score:
    """One object on one frame."""

    confidence: float
    """mean probability over its own pixels, 0 to 1; 0 where it has none"""
    area: int
    """pixels"""
    x: float
    """centre, pixels; 0 where it has none"""
    y: float
    disagreement: float | None = None
    """1 minus the IoU of what the two directions say; None where only one was tracked"""
    fragment: float = 0.0
    """share of its pixels that are in the largest part away from its main part, 0 to 0.5"""
    contact: float = 0.0
    """share of its outline along which it touches another object of like colour, 0 to 1"""
    flip: float = 0.0
    """share of its pixels in a part that was another object's a frame before, with the same colours, 0 to 1"""


def measured(
    ids: np.ndarray,
    numbers: Iterable[int],
    confidence: Mapping[int, float],
    disagreement: Mapping[int, float],
    doubts: Mapping[int, tuple[float, float, float]] | None = None,
) -> dict[str, list[float | None]]:
    """Scores of the objects of a label map (H×W ids), as JSON has them; ``doubts``: fragment, contact and flip."""
    scores: dict[str, list[float | None]] = {}
    rows = np.arange(ids.shape[0], dtype=np.float64)
    columns = np.arange(ids.shape[1], dtype=np.float64)
    for number in numbers:
        mask = ids == number
        across, down = mask.sum(0), mask.sum(1)
        area = int(down.sum())
        x = float(across @ columns) / area if area else 0.0
        y = float(down @ rows) / area if area else 0.0
        sure = confidence.get(number, 1.0) if area else 0.0
        differ = disagreement.get(number)
        scores[str(number)] = [
            round(sure, 4), area, round(x, 1), round(y, 1), None if differ is None else round(differ, 4),
        ]  # fmt: skip
        if doubts is not None:
            scores[str(number)] += [round(value, 4) for value in doubts.get(number, (0.0, 0.0, 0.0))]
    return scores


def disagreement(numbers: Iterable[int], first: np.ndarray, second: np.ndarray) -> dict[int, float]:
    """1 minus the IoU of each object in two label maps (H×W ids); 0 where neither has it."""
    found = {}
    for number in numbers:
        one, other = first == number, second == number
        union = int((one | other).sum())
        found[number] = 1 - int((one & other).sum()) / union if union else 0.0
    return found


def read_scores(stored: Any) -> dict[int, Score]:
    """What `measured` gave; entries that are something else are left out."""
    scores = {}
    for number, values in stored.items() if isinstance(stored, dict) else ():
        try:
            confidence, area, x, y, differ, *doubts = values
            fragment, contact, flip = map(float, [*doubts, 0.0, 0.0, 0.0][:3])
            differ = None if differ is None else float(differ)
            score = Score(float(confidence), int(area), float(x), float(y), differ, fragment, contact, flip)
            if all(map(math.isfinite, (*values[:4], differ or 0, fragment, contact, flip))):
                scores[int(number)] = score
        except (TypeError, ValueError, OverflowError):
            continue
    return scores


def joined(scores: Mapping[int, Score], resolve: Callable[[int], int]) -> dict[int, Score]:
    """Scores by the number that each stands for now; those of one number become one, weighted by area."""
    found: dict[int, Score] = {}
    for number, score in scores.items():
        now = resolve(number)
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


@dataclass
class LostFlags:
    """Flags of lost objects: those not visible for ``frames`` frames in a row, until they are visible again.

    An object is visible if it has a pixel and a confidence of at least ``confidence``.
    """

    frames: int = LOST_AFTER
    confidence: float = MIN_CONFIDENCE
    _unseen: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.frames < 1 or not 0 <= self.confidence <= 1:
            raise ValueError(f"expected frames from 1 and a confidence in 0 to 1, got {self}")

    def update(self, confidence: Mapping[int, float]) -> dict[int, bool]:
        """Return whether each object is lost, given the next frame's `Prediction.confidence`."""
        unseen = {}
        for number, value in confidence.items():
            visible = value > 0 and value >= self.confidence
            unseen[number] = 0 if visible else self._unseen.get(number, 0) + 1
        self._unseen = unseen
        return {number: count >= self.frames for number, count in unseen.items()}
