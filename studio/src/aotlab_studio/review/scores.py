"""Scores of the objects of a tracked frame: confidence, area, agreement of both directions, signals of a wrong mask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from msgspec import Struct
from msgspec.structs import astuple

from aotlab.sdk import LostFlags

CONTACT_DISTANCE = 3
"""pixels between the two sides of an outline that are compared"""
SIMILAR_COLOR = 24
"""largest difference of a channel (0 to 255) between similar colours"""
MAX_EDGE = 480
"""shorter edge of the compared images; larger frames are subsampled"""


class Signals(Struct, frozen=True, array_like=True):
    """Signals of one object on one frame."""

    fragment: float = 0.0
    """share of its pixels that are in the largest part away from its main part, 0 to 0.5"""
    contact: float = 0.0
    """share of its outline along which it touches another object of similar colour, 0 to 1"""
    flip: float = 0.0
    """share of its pixels in a part that was another object's a frame before, with the same colours, 0 to 1"""


class ReviewSignals:
    """Signals of the frames of one video, which are given in order, forward or backward."""

    def __init__(self) -> None:
        self._last: tuple[int, np.ndarray, np.ndarray] | None = None

    def update(
        self, index: int, ids: np.ndarray, image: np.ndarray, object_ids: Iterable[int]
    ) -> dict[int, Signals]:
        """Return the signals of each object on the next frame; no flips if the last one was not its neighbour.

        Args:
            index: index of the frame.
            ids: H×W object ids.
            image: H×W×3 uint8.
        """
        step = max(1, min(ids.shape) // MAX_EDGE)
        ids, image = ids[::step, ::step], image[::step, ::step]
        contact, outline = _count_contacts(ids, image)
        changed = np.zeros(ids.shape, bool)
        if self._last is not None and abs(self._last[0] - index) == 1 and self._last[1].shape == ids.shape:
            last_ids, last_image = self._last[1:]
            similar = color_distance(image, last_image) <= SIMILAR_COLOR
            changed = (ids > 0) & (last_ids > 0) & (ids != last_ids) & similar
        self._last = index, ids.copy(), image.copy()
        return {
            object_id: Signals(
                round(measure_fragment(ids == object_id), 4),
                round(contact[object_id] / max(1, outline[object_id]), 4),
                round(measure_flip(ids == object_id, changed), 4),
            )
            for object_id in object_ids
        }


def measure_flip(mask: np.ndarray, changed: np.ndarray) -> float:
    """Return the share of a mask (H×W bool) in the largest connected part of ``changed`` thicker than 2 pixels."""
    import cv2

    part = mask & changed
    if not part.any():
        return 0.0
    opened = cv2.morphologyEx(part.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    return float(stats[1:, cv2.CC_STAT_AREA].max(initial=0) / mask.sum())


def measure_fragment(mask: np.ndarray) -> float:
    """Return the share of a mask (H×W bool) in its second largest part; parts up to 2 pixels apart are one."""
    import cv2

    pixels = mask.astype(np.uint8)
    left, top, width, height = cv2.boundingRect(pixels)
    if not width:
        return 0.0
    joined = cv2.morphologyEx(
        pixels[top : top + height, left : left + width], cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)
    )
    _, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    areas = np.sort(stats[1:, cv2.CC_STAT_AREA])
    return float(areas[-2] / areas.sum()) if len(areas) > 1 else 0.0


def color_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the largest difference of a channel."""
    return np.asarray(np.abs(first.astype(np.int16) - second).max(-1, initial=0))


def _count_contacts(ids: np.ndarray, image: np.ndarray) -> tuple[Counter[int], Counter[int]]:
    """Count by object the pairs of pixels across its outline: to objects of similar colour, and to anything."""
    contact: Counter[int] = Counter()
    outline: Counter[int] = Counter()
    for labels, pixels in ((ids, image), (ids.T, image.swapaxes(0, 1))):
        rows, columns = np.nonzero(labels[:-CONTACT_DISTANCE] != labels[CONTACT_DISTANCE:])
        others = rows + CONTACT_DISTANCE
        inner, outer = labels[rows, columns], labels[others, columns]
        distance = color_distance(pixels[rows, columns], pixels[others, columns])
        similar = (inner > 0) & (outer > 0) & (distance <= SIMILAR_COLOR)
        for side in (inner, outer):
            outline.update(side.tolist())
            contact.update(side[similar].tolist())
    return contact, outline


class Score(Struct, frozen=True, array_like=True):
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
    signals: Signals = Signals()

    @property
    def visible(self) -> bool:
        """Whether it has pixels that are its own with enough confidence."""
        return self.area > 0 and self.confidence >= LostFlags.MIN_CONFIDENCE


def measure_scores(
    labels: np.ndarray,
    object_ids: Iterable[int],
    confidence: Mapping[int, float],
    disagreement: Mapping[int, float],
    signals: Mapping[int, Signals] | None = None,
) -> dict[int, Score]:
    """Return the scores of the objects of labels (H×W ids), rounded for storage."""
    scores = {}
    rows = np.arange(labels.shape[0], dtype=np.float64)
    columns = np.arange(labels.shape[1], dtype=np.float64)
    for object_id in object_ids:
        mask = labels == object_id
        across, down = mask.sum(0), mask.sum(1)
        area = int(down.sum())
        x = float(across @ columns) / area if area else 0.0
        y = float(down @ rows) / area if area else 0.0
        value = float(confidence.get(object_id, 1.0)) if area else 0.0
        differ = disagreement.get(object_id)
        scores[object_id] = Score(
            round(value, 4), area, round(x, 1), round(y, 1), None if differ is None else round(float(differ), 4),
            (signals or {}).get(object_id, Signals()),
        )  # fmt: skip
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
        Signals(*map(max, astuple(first.signals), astuple(second.signals))),
    )
