"""Scores of the objects of a frame: confidence, area, center, disagreement of both directions, signals of errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from aotlab import sdk
from aotlab_studio.files import read_json

SCORES_FILE = "scores.json"
"""scores of all frames, beside the review of results, from which a project finds the same frames to check"""
CONTACT_DISTANCE = 3
"""pixels between the two sides of an outline that are compared"""
SIMILAR_COLOR = 24
"""largest difference of a channel (0 to 255) between similar colors"""
MAX_EDGE = 480
"""shorter edge of the compared images; larger frames are subsampled"""


class Signals(Struct, frozen=True, array_like=True):
    """Signals of one object on one frame."""

    fragment: float = 0.0
    """share of its pixels that are in the largest part away from its main part, 0 to 0.5"""
    contact: float = 0.0
    """share of its outline along which it touches another object of similar color, 0 to 1"""
    flip: float = 0.0
    """share of its pixels in a part that was another object's a frame before, with the same colors, 0 to 1"""


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


def read_scores(folder: Path) -> dict[int, dict[int, Score]]:
    """Return the scores of a review by frame and object id; empty if the file is missing or damaged."""
    return read_json(folder / SCORES_FILE, dict[int, dict[int, Score]])


def find_lost(seen: Mapping[int, bool]) -> list[list[int]]:
    """Return the runs of frames on which an object is lost: unseen on `LostObjects.FRAMES` or more in a row.

    Args:
        seen: whether it is visible or drawn, by frame in order.
    """
    runs = [(visible, list(run)) for visible, run in groupby(seen, seen.__getitem__)]
    return [run for visible, run in runs if not visible and len(run) >= sdk.LostObjects.FRAMES]


class ReviewSignals:
    """Signals of the frames of one video, which are given in order, forward or backward."""

    def __init__(self) -> None:
        self._last: tuple[int, np.ndarray, np.ndarray] | None = None

    def update(
        self, index: int, ids: np.ndarray, image: np.ndarray, object_ids: Iterable[int]
    ) -> dict[int, Signals]:
        """Return the signals of each object on the next frame, H×W ids on an image H×W×3 uint8.

        There are no flips if the last frame was not its neighbor.
        """
        step = max(1, min(ids.shape) // MAX_EDGE)
        ids, image = ids[::step, ::step], image[::step, ::step]
        contact, outline = _count_contacts(ids, image)
        changed = np.zeros(ids.shape, bool)
        if self._last is not None and abs(self._last[0] - index) == 1 and self._last[1].shape == ids.shape:
            last_ids, last_image = self._last[1:]
            similar = measure_color_distance(image, last_image) <= SIMILAR_COLOR
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


def measure_color_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the largest difference of a channel."""
    return np.asarray(np.abs(first.astype(np.int16) - second).max(-1, initial=0))


def _count_contacts(ids: np.ndarray, image: np.ndarray) -> tuple[Counter[int], Counter[int]]:
    """Count by object the pairs of pixels across its outline: to objects of similar color, and to anything."""
    contact: Counter[int] = Counter()
    outline: Counter[int] = Counter()
    for labels, pixels in ((ids, image), (ids.T, image.swapaxes(0, 1))):
        rows, columns = np.nonzero(labels[:-CONTACT_DISTANCE] != labels[CONTACT_DISTANCE:])
        others = rows + CONTACT_DISTANCE
        inner, outer = labels[rows, columns], labels[others, columns]
        distance = measure_color_distance(pixels[rows, columns], pixels[others, columns])
        similar = (inner > 0) & (outer > 0) & (distance <= SIMILAR_COLOR)
        for side in (inner, outer):
            outline.update(side.tolist())
            contact.update(side[similar].tolist())
    return contact, outline
