"""Parts of a prompted mask that are far from its box or points, to be dropped as false positives."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from aotlab_runtime.inputs import Point

BOX_MARGIN = 0.12
"""how far an object may extend beyond its box, as a fraction of the sides of the box"""
MAX_PART_DISTANCE = 0.5
"""largest distance of a part without a point from those with one, in units of the square root of their area"""
STEP, DIAGONAL_STEP = 0.955, 1.3693
"""lengths of a straight and a diagonal step to the next pixel, as in OpenCV's ``distanceTransform`` with a 3×3 mask"""


def find_far_from_box(mask: np.ndarray, box: np.ndarray, points: Sequence[Point]) -> np.ndarray:
    """Return the pixels of a mask H×W bool outside a box 2×2 with its margin, extended to points on the object."""
    margin = BOX_MARGIN * (box[1] - box[0])
    corners = [box[0] - margin, box[1] + margin, *points]
    (left, top), (right, bottom) = np.min(corners, axis=0), np.max(corners, axis=0)
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    return mask & ~((top <= y) & (y <= bottom) & (left <= x) & (x <= right))


def find_far_from_points(mask: np.ndarray, points: Sequence[Point]) -> np.ndarray:
    """Return the pixels of a mask H×W bool in parts far from those with a point; if none has one, from the largest."""
    height, width = mask.shape
    parts = label_components(mask)
    x, y = np.rint(points).clip(0, (width - 1, height - 1)).astype(int).T
    prompted = mask & np.isin(parts, parts[y, x])
    if not prompted.any():
        prompted = parts == 1 + np.bincount(parts.ravel(), minlength=2)[1:].argmax()
    near = measure_distance(prompted) <= MAX_PART_DISTANCE * np.sqrt(prompted.sum())
    return mask & ~np.isin(parts, parts[near & mask])


def label_components(mask: np.ndarray) -> np.ndarray:
    """Label the 8-connected components of a mask H×W bool from 1 on: H×W, 0 is background.

    Row by row, each run of pixels gets the smallest label of the runs that it touches in the row above, and their
    components are merged; a run that touches none gets a new label.
    """
    components = np.zeros((len(mask) + 1, mask.shape[1]), int)  # row -1 is an empty row above the image
    parents = [0]  # label that each one was merged into: its own, or a smaller one

    def find_root(label: int) -> int:
        while parents[label] != label:
            label = parents[label]
        return label

    for y, row in enumerate(mask):
        edges = np.flatnonzero(np.diff(row, prepend=False, append=False)).tolist()
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            touched = {*components[y - 1, max(0, start - 1) : stop + 1].tolist()} - {0}
            roots = {find_root(label) for label in touched}
            if not roots:
                roots.add(len(parents))
                parents.append(len(parents))
            components[y, start:stop] = min(roots)
            for root in roots:
                parents[root] = min(roots)
    return np.array([find_root(label) for label in range(len(parents))])[components[:-1]]


def measure_distance(mask: np.ndarray) -> np.ndarray:
    """Return the distance H×W in pixels of each pixel to a mask H×W bool, which is not empty.

    Chamfer distance: along rows, then down, then up.
    """
    distance = np.where(mask, np.float32(0), np.float32(np.inf))
    ramp = STEP * np.arange(mask.shape[1], dtype=np.float32)
    for rows in (distance, distance[:, ::-1]):
        rows[:] = np.minimum.accumulate(rows - ramp, axis=1) + ramp
    for rows in (distance, distance[::-1]):
        for near, row in pairwise(rows):
            np.minimum(row, near + STEP, out=row)
            np.minimum(row[1:], near[:-1] + DIAGONAL_STEP, out=row[1:])
            np.minimum(row[:-1], near[1:] + DIAGONAL_STEP, out=row[:-1])
    return distance
