"""Scores of the objects on a frame: confidence, area, center, and signals of wrong masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

import aotlab_video


class Signals(Struct, frozen=True, array_like=True):
    """Signals that the mask of an object on a frame may be wrong."""

    fragment: float = 0.0
    """Share of the object's pixels in its second largest part, 0 to 0.5."""
    contact: float = 0.0
    """Share of the object's outline that touches another object of similar color, 0 to 1."""
    flip: float = 0.0
    """Share of the object's pixels in a part that belonged to another object on the previous frame, 0 to 1."""
    far: float = 0.0
    """Share of the object's pixels that are far from its mask on the previous frame, 0 to 1."""


class Score(Struct, frozen=True, array_like=True):
    """Confidence, area, center (x, y) and signals of an object on a frame; without pixels, the first three are 0."""

    confidence: float
    """Mean probability of the object over its pixels, 0 to 1."""
    area: int
    x: float
    y: float
    disagreement: float | None = None
    """1 minus the IoU of the forward and backward predictions; None if only one direction was tracked."""
    signals: Signals = Signals()

    @property
    def visible(self) -> bool:
        """Whether the object has pixels, with enough confidence."""
        return self.area > 0 and self.confidence >= aotlab_video.LostObjects.MIN_CONFIDENCE


def measure_scores(
    labels: np.ndarray,
    object_ids: Iterable[int],
    confidence: Mapping[int, float] = {},
    disagreement: Mapping[int, float] = {},
    signals: Mapping[int, Signals] = {},
) -> dict[int, Score]:
    """Return the scores of objects in labels (H×W ids), rounded for storage. The default confidence is 1."""
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
    """Return scores by object id, with areas and centers measured again in labels (H×W ids)."""
    return {
        key: replace(scores[key], area=shown.area, x=shown.x, y=shown.y) if shown.area else shown
        for key, shown in measure_scores(labels, scores).items()
    }


def find_lost_runs(seen: Mapping[int, bool]) -> list[list[int]]:
    """Return the runs of at least `LostObjects.FRAMES` frames on which an object is not seen."""
    runs = [(visible, list(run)) for visible, run in groupby(seen, seen.__getitem__)]
    return [run for visible, run in runs if not visible and len(run) >= aotlab_video.LostObjects.FRAMES]
