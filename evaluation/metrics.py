"""Region similarity J and contour accuracy F of two masks.

Source: Perazzi et al. 2016, as computed by the public DAVIS 2017 evaluator. All counts are integers up to the last
division.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

CONTOUR_TOLERANCE = 0.008
"""Largest distance of matching contours, as a fraction of the frame's diagonal."""


class ObjectMetric(NamedTuple):
    """J, F and further values of one object on a frame."""

    measure: Callable[[np.ndarray, np.ndarray, tuple[int, int]], Sequence[float]]
    """(annotation, prediction, size) to the values; both are H×W bool, cropped to the `find_object_slices` of both,
    ``size`` is (height, width) of the whole frame."""
    num_values: int = 2

    def score(self, annotation: np.ndarray, prediction: np.ndarray, size: tuple[int, int]) -> Sequence[float]:
        """Return the values of one object, H×W bool each; all 1 if both masks are empty."""
        union = annotation | prediction
        box = find_object_slices(union) if union.size else None
        if box is None:
            return [1.0] * self.num_values
        return self.measure(annotation[box], prediction[box], size)


def measure_region_and_contour(
    annotation: np.ndarray, prediction: np.ndarray, size: tuple[int, int]
) -> tuple[float, float]:
    """Return J and F; a function for `ObjectMetric.measure`.

    F is 1 if neither mask has a contour, even if one is empty and the other fills the frame.
    """
    region = region_similarity(annotation, prediction)
    return region, 1.0 if region == 1 else match_contours(annotation, prediction, tolerance_radius(*size))


REGION_AND_CONTOUR = ObjectMetric(measure_region_and_contour)


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
    count: Callable[[np.ndarray, np.ndarray, float], int] = count_matched,
) -> float:
    """Return F of two H×W bool masks cropped to their `find_object_slices`; contours match within ``radius`` pixels."""
    true, predicted = boundary_map(annotation), boundary_map(prediction)
    lengths = np.count_nonzero(true), np.count_nonzero(predicted)
    if 0 in lengths:
        return float(lengths[0] == lengths[1])
    recall = count(true, predicted, radius) / lengths[0]
    precision = count(predicted, true, radius) / lengths[1]
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


def find_object_slices(mask: np.ndarray) -> tuple[slice, slice] | None:
    """Return the bounding box of an H×W bool or uint8 mask as slices, padded by one pixel; None if it is empty.

    Contours lie up to one pixel above and left of a mask, so J and F of two masks cropped to their common box equal
    those of the whole frame.
    """
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width == 0:
        return None
    return slice(max(top - 1, 0), top + height + 1), slice(max(left - 1, 0), left + width + 1)
