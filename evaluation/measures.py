"""J and F of two masks: how well one object is found in one frame.

Source: Perazzi et al. 2016, as computed by the public DAVIS 2017 evaluator.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

TOLERANCE = 0.008
"""Distance at which contours still match, as a fraction of the frame's diagonal."""


def region_similarity(truth: np.ndarray, prediction: np.ndarray, void: np.ndarray | None = None) -> float:
    """J: intersection over union.

    Args:
        truth: H×W bool, the object's true mask.
        prediction: H×W bool.
        void: H×W bool, pixels that count on neither side.

    Returns:
        0 to 1; 1 where both masks are empty.

    Raises:
        ValueError: the masks differ in size.
    """
    truth, prediction = _without_void(truth, prediction, void)
    union = np.count_nonzero(truth | prediction)
    if union == 0:
        return 1.0
    return np.count_nonzero(truth & prediction) / union


def contour_accuracy(truth: np.ndarray, prediction: np.ndarray, void: np.ndarray | None = None) -> float:
    """F: harmonic mean of how much of either contour lies near the other one.

    Args:
        truth: H×W bool, the object's true mask.
        prediction: H×W bool.
        void: H×W bool, pixels taken out of both masks before their contours are drawn.

    Returns:
        0 to 1; 1 where neither mask has a contour, even if one is empty and the other fills the frame.

    Raises:
        ValueError: the masks differ in size.
    """
    truth, prediction = _without_void(truth, prediction, void)
    if np.array_equal(truth, prediction):
        return 1.0
    radius = tolerance_radius(*truth.shape)
    box = _box(truth | prediction)
    true_contour, found_contour = boundary_map(truth[box]), boundary_map(prediction[box])
    true_length, found_length = np.count_nonzero(true_contour), np.count_nonzero(found_contour)
    if true_length == 0 or found_length == 0:
        return float(true_length == found_length)
    precision = np.count_nonzero(found_contour & dilate(true_contour, radius)) / found_length
    recall = np.count_nonzero(true_contour & dilate(found_contour, radius)) / true_length
    if precision + recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def tolerance_radius(height: int, width: int) -> int:
    """Pixels by which contours may be apart in a frame of this size: 8 at 480×854.

    In float64: at 75×100 the product is exactly 1, and float32 would round up to 2.
    """
    return math.ceil(TOLERANCE * math.sqrt(height * height + width * width))


def boundary_map(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from their right, lower or lower-right neighbour: H×W bool to H×W bool.

    The frame's border is no contour: repeating the last row and column makes them equal to what lies outside.
    """
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, diagonal = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return (mask != right) | (mask != below) | (mask != diagonal)


def dilate(mask: np.ndarray, radius: int) -> np.ndarray:
    """Pixels at most ``radius`` pixels (Euclidean) from a set one: H×W bool to H×W bool."""
    offsets = np.arange(-radius, radius + 1)
    disk = (offsets[:, None] ** 2 + offsets[None, :] ** 2 <= radius * radius).astype(np.uint8)
    grown = cv2.dilate(mask.astype(np.uint8), disk, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return grown.astype(bool)


def _without_void(
    truth: np.ndarray, prediction: np.ndarray, void: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Both masks as bool, void pixels cleared."""
    if truth.shape != prediction.shape or truth.ndim != 2:
        raise ValueError(
            f"masks must be two H×W arrays of one size, got {truth.shape} and {prediction.shape}"
        )
    truth, prediction = truth.astype(bool, copy=False), prediction.astype(bool, copy=False)
    if void is None:
        return truth, prediction
    if void.shape != truth.shape:
        raise ValueError(f"the void mask must have the masks' size {truth.shape}, got {void.shape}")
    kept = ~void.astype(bool, copy=False)
    return truth & kept, prediction & kept


def _box(mask: np.ndarray) -> tuple[slice, slice]:
    """The box of the set pixels, grown by one pixel: contours lie one pixel up and left of the mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(int(rows[0]) - 1, 0), int(rows[-1]) + 2),
        slice(max(int(columns[0]) - 1, 0), int(columns[-1]) + 2),
    )
