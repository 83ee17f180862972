"""Region similarity J and contour accuracy F of two masks.

Source: Perazzi et al. 2016, as computed by the public DAVIS 2017 evaluator. All counts are integers up to the last
division.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from aotlab.utils.errors import require
from aotlab.utils.plugins import MEASURE_PLUGINS, describe_object, find_plugin

CONTOUR_TOLERANCE = 0.008
"""Largest distance of matching contours, as a fraction of the frame's diagonal."""


Measure = Callable[[np.ndarray, np.ndarray, tuple[int, int]], Sequence[float]]
"""Function from the annotation and the prediction of one object to its scores on a frame, J first.

Both masks are H×W bool, cropped as `crop_to_objects` does; (height, width) is the size of the whole frame.
"""


@dataclass(frozen=True)
class ExtendedMeasure:
    """A `Measure`, followed by a score of each of some plug-ins' measures, which processes find by their names."""

    measure: Measure
    names: tuple[str, ...]

    def __call__(self, annotation: np.ndarray, prediction: np.ndarray, size: tuple[int, int]) -> Sequence[float]:
        """Return all scores; raise `InputError` if one of a plug-in is not NaN or a number from 0 to 1."""
        scores = [*self.measure(annotation, prediction, size)]
        for name in self.names:
            plugin = find_plugin(MEASURE_PLUGINS, name)
            score: Any = plugin(annotation, prediction, size)
            is_score = isinstance(score, float | int | np.floating) and (0 <= score <= 1 or math.isnan(score))
            remedy = "expected a number from 0 to 1, or NaN where it is undefined"
            require(is_score, f"returned {score!r:.40}", subject=describe_object(plugin), remedy=remedy)
            scores.append(float(score))
        return scores


def measure_region_and_contour(
    annotation: np.ndarray, prediction: np.ndarray, size: tuple[int, int]
) -> tuple[float, float]:
    """Return J and F, a `Measure`.

    F is 1 if neither mask has a contour, even if one is empty and the other fills the frame.
    """
    region = region_similarity(annotation, prediction)
    return region, 1.0 if region == 1 else match_contours(annotation, prediction, tolerance_radius(*size))


def region_similarity(annotation: np.ndarray, prediction: np.ndarray) -> float:
    """Return J, the intersection over union of two H×W masks of bool or 0 and other numbers; 1 if both are empty."""
    annotation, prediction = annotation.astype(bool, copy=False), prediction.astype(bool, copy=False)
    # Bytes of 0 and 1 differ in one bit, so the Hamming norm counts the different pixels.
    different = int(cv2.norm(annotation.view(np.uint8), prediction.view(np.uint8), cv2.NORM_HAMMING))
    total = cv2.countNonZero((annotation | prediction).view(np.uint8))
    return (total - different) / total if total else 1.0


def count_matched(contour: np.ndarray, other: np.ndarray, radius: float) -> int:
    """Count the pixels of ``contour`` at most ``radius`` pixels from ``other``, H×W bool each."""
    distance = cv2.distanceTransform((~other).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return int(np.count_nonzero(distance[contour] <= radius))


def match_contours(
    annotation: np.ndarray,
    prediction: np.ndarray,
    radius: float,
    count_matches: Callable[[np.ndarray, np.ndarray, float], int] = count_matched,
) -> float:
    """Return F of two H×W bool masks cropped by `crop_to_objects`; contours match within ``radius`` pixels."""
    true, predicted = boundary_map(annotation), boundary_map(prediction)
    lengths = np.count_nonzero(true), np.count_nonzero(predicted)
    if 0 in lengths:
        return float(lengths[0] == lengths[1])
    recall = count_matches(true, predicted, radius) / lengths[0]
    precision = count_matches(predicted, true, radius) / lengths[1]
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def tolerance_radius(height: int, width: int) -> int:
    """Return the matching radius in pixels for a frame size, for example 8 for 480×854.

    In float64: at 75×100 the product is exactly 1, and float32 would round up to 2.
    """
    return math.ceil(CONTOUR_TOLERANCE * math.sqrt(height * height + width * width))


def boundary_map(mask: np.ndarray) -> np.ndarray:
    """Return the pixels that differ from their right, lower or lower-right neighbor: H×W bool to H×W bool.

    The frame's border is not a contour.
    """
    padded = np.pad(mask, (0, 1), mode="edge")
    center = padded[:-1, :-1]
    contour = center != padded[:-1, 1:]
    contour |= center != padded[1:, :-1]
    contour |= center != padded[1:, 1:]
    return contour


def crop_to_objects(annotation: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Crop H×W ids or bool masks to the pixels that are not 0 in either, and a border of one pixel.

    Contours lie up to one pixel above and left of a mask, so J and F equal those of the whole frame. Empty masks become
    one pixel.
    """
    union = annotation.astype(bool, copy=False) | prediction.astype(bool, copy=False)
    left, top, width, height = cv2.boundingRect(union.view(np.uint8))
    box = slice(max(top - 1, 0), top + height + 1), slice(max(left - 1, 0), left + width + 1)
    return annotation[box], prediction[box]
