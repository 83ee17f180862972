"""Scores of the objects of a frame: confidence, area, center, disagreement of both directions, signals of errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from aotlab import sdk


class Signals(Struct, frozen=True, array_like=True):
    """Signals of one object on one frame."""

    fragment: float = 0.0
    """Share of its pixels that are in the largest part away from its main part, 0 to 0.5."""
    contact: float = 0.0
    """Share of its outline along which it touches another object of similar color, 0 to 1."""
    flip: float = 0.0
    """Share of its pixels in a part that was another object's a frame before, with the same colors, 0 to 1."""


class Score(Struct, frozen=True, array_like=True):
    """Confidence, area in pixels and center of one object on one frame; all 0 without pixels."""

    confidence: float
    """Mean probability over its own pixels, 0 to 1."""
    area: int
    x: float
    y: float
    disagreement: float | None = None
    """1 minus the IoU of the two directions; None if only one was tracked."""
    signals: Signals = Signals()

    @property
    def visible(self) -> bool:
        """Whether it has pixels that are its own with enough confidence."""
        return self.area > 0 and self.confidence >= sdk.LostObjects.MIN_CONFIDENCE


def measure_scores(
    labels: np.ndarray,
    object_ids: Iterable[int],
    confidence: Mapping[int, float] = {},
    disagreement: Mapping[int, float] = {},
    signals: Mapping[int, Signals] = {},
) -> dict[int, Score]:
    """Return the scores of the objects of labels (H×W ids), rounded for storage; a confidence not given is 1."""
    scores = {}
    for object_id in object_ids:
        mask = labels == object_id
        across, down = mask.sum(0), mask.sum(1)
        area, disagreed = int(down.sum()), disagreement.get(object_id)
        x = float(across @ np.arange(len(across))) / area if area else 0.0
        y = float(down @ np.arange(len(down))) / area if area else 0.0
        value = float(confidence.get(object_id, 1.0)) if area else 0.0
        scores[object_id] = Score(
            round(value, 4), area, round(x, 1), round(y, 1), None if disagreed is None else round(float(disagreed), 4),
            signals.get(object_id, Signals()),
        )  # fmt: skip
    return scores


def clip_scores(scores: Mapping[int, Score], labels: np.ndarray) -> dict[int, Score]:
    """Return scores by object id with the area and center of the pixels in labels (H×W ids)."""
    return {
        key: replace(scores[key], area=shown.area, x=shown.x, y=shown.y) if shown.area else shown
        for key, shown in measure_scores(labels, scores).items()
    }


def find_lost(seen: Mapping[int, bool]) -> list[list[int]]:
    """Return the runs of `LostObjects.FRAMES` or more frames on which an object is neither visible nor drawn."""
    runs = [(visible, list(run)) for visible, run in groupby(seen, seen.__getitem__)]
    return [run for visible, run in runs if not visible and len(run) >= sdk.LostObjects.FRAMES]
