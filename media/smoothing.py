"""Check for masks whose values are shades of gray, at smoothed or interpolated edges, and not object ids."""

import logging
from functools import reduce

import numpy as np

log = logging.getLogger(__name__)

SHARP = "if it is one, save it without smoothing or resizing, or threshold it at half"
MAX_THIN_IDS = 8
"""Largest number of thin objects side by side without a larger object of a higher id."""
LINE_RADIUS = 2
"""Largest distance in pixels from a line at a smoothed edge to both of the values between which it lies."""
LINE_FRACTION = 0.95
"""Smallest fraction of a value's pixels within this distance."""
SMOOTHED_FRACTION = 0.25
"""Smallest fraction of such lines among the pixels at edges of a smoothed mask."""


def describe_smoothing(labels: np.ndarray) -> str:
    """Return what makes H×W ids look like the gray values of a soft, smoothed or interpolated mask; else empty."""
    if measure_smoothing(labels) < SMOOTHED_FRACTION:
        return ""
    return f"{len(np.unique(labels[labels > 0]))} values, like the gray ones of a soft or smoothed mask"


def warn_if_smoothed(labels: np.ndarray, subject: object) -> None:
    """Log a warning about H×W ids that look like gray values; ``subject``: the mask."""
    if problem := describe_smoothing(labels):
        log.warning("%s: %s; %s", subject, problem, SHARP)


def measure_smoothing(labels: np.ndarray) -> float:
    """Return the fraction of pixels at edges whose id exists only as lines between a lower and a higher one.

    ``labels``: H×W ids, unsigned.
    """
    rows, columns = np.flatnonzero(labels.any(1)), np.flatnonzero(labels.any(0))
    if not rows.size:
        return 0.0
    top, left = max(rows[0] - LINE_RADIUS, 0), max(columns[0] - LINE_RADIUS, 0)
    labels = labels[top : rows[-1] + LINE_RADIUS + 1, left : columns[-1] + LINE_RADIUS + 1]
    totals = np.bincount(labels.ravel())
    low, high = _filter_values(labels, np.minimum, 1), _filter_values(labels, np.maximum, 1)
    is_solid = np.bincount(labels[low == high], minlength=len(totals)) > 0  # has a pixel with equal ones all around
    is_line = (totals > 0) & ~is_solid
    is_line[0] = False
    if not is_line.any() or np.count_nonzero(totals[1:]) < 2:
        return 0.0
    low, high = _filter_values(labels, np.minimum, LINE_RADIUS), _filter_values(labels, np.maximum, LINE_RADIUS)
    between = np.bincount(labels[(low < labels) & (labels < high)], minlength=len(totals))
    is_line &= between >= LINE_FRACTION * totals
    if np.count_nonzero(is_line) <= MAX_THIN_IDS:
        is_line[np.flatnonzero(is_solid).max(initial=0) :] = False
    lines = is_line[labels]
    edges = 0
    for axis in range(2):
        moved, moved_lines = np.moveaxis(labels, axis, 0), np.moveaxis(lines, axis, 0)
        is_edge = moved[1:] != moved[:-1]
        edges += np.count_nonzero(is_edge & ~moved_lines[1:] & ~moved_lines[:-1])
    count = np.count_nonzero(lines)
    return count / max(count + edges, 1)


def _filter_values(labels: np.ndarray, choose: np.ufunc, radius: int) -> np.ndarray:
    """Return the smallest or largest value in the square around each pixel."""
    for axis in range(2):
        padding = [(radius, radius) if axis == index else (0, 0) for index in range(2)]
        padded = np.moveaxis(np.pad(labels, padding, mode="edge"), axis, 0)
        parts = [padded[start : start + labels.shape[axis]] for start in range(2 * radius + 1)]
        labels = np.moveaxis(reduce(choose, parts), 0, axis)
    return labels
