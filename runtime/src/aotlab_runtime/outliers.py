"""Outliers of masks from prompts: pixels far from the box, or from the points."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

BOX_MARGIN = 0.12
"""largest extent of an object beyond its box, as a fraction of the box's sides"""
MAX_PART_DISTANCE = 0.5
"""largest distance of a component without a point from those with one, divided by the square root of their area"""
STRAIGHT_STEP, DIAGONAL_STEP = 0.955, 1.3693
"""lengths of a straight and a diagonal step to the next pixel, as in OpenCV's ``distanceTransform`` with a 3×3 mask"""


def find_outliers(mask: np.ndarray, points: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    """Return the pixels of a mask H×W bool outside the box, enlarged by a margin and to points, or far from points.

    ``points``: (x, y) on the object, P×2. ``box``: its corners (left, top) and (right, bottom), 2×2.
    """
    if box is None:
        return find_far_from_points(mask, points)
    margin = BOX_MARGIN * (box[1] - box[0])
    corners = np.concatenate([box + np.stack([-margin, margin]), points])
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    return mask & ~((top <= y) & (y <= bottom) & (left <= x) & (x <= right))


def find_far_from_points(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask H×W bool in components far from those with a point (x, y), else from the largest."""
    height, width = mask.shape
    components = label_components(mask)
    x, y = np.rint(points).clip(0, (width - 1, height - 1)).astype(int).T
    seed = mask & np.isin(components, components[y, x])
    if not seed.any():
        seed = components == 1 + np.bincount(components.ravel(), minlength=2)[1:].argmax()
    is_near = measure_distance(seed) <= MAX_PART_DISTANCE * np.sqrt(seed.sum())
    return mask & ~np.isin(components, components[mask & is_near])


def label_components(mask: np.ndarray) -> np.ndarray:
    """Label the 8-connected components of a mask H×W bool with numbers above 0: H×W, 0 is background.

    The pixels of a row form runs. Every run gets the smallest number of the runs that it touches, until none changes.
    """
    padded = np.pad(mask, 1)
    starts = padded & ~np.roll(padded, 1)
    runs = padded * starts.cumsum().reshape(padded.shape)
    contact_pairs = []
    for step in padded.shape[1] + np.array([-1, 0, 1]):  # to the pixels below
        below, below_starts = np.roll(runs, -step), np.roll(starts, -step)
        contacts = (runs > 0) & (below > 0) & (starts | below_starts)
        contact_pairs.append([runs[contacts], below[contacts]])
    pairs = np.concatenate(contact_pairs, axis=1)
    parents = np.arange(runs.max() + 1)
    while (parents[pairs[0]] != parents[pairs[1]]).any():
        np.minimum.at(parents, parents[pairs].max(0), parents[pairs].min(0))
        parents = parents[parents]
    return parents[runs][1:-1, 1:-1]


def measure_distance(mask: np.ndarray) -> np.ndarray:
    """Return the chamfer distance H×W in pixels to a mask H×W bool, not empty: along rows, then down, then up."""
    distance = np.where(np.pad(mask, 1), np.float32(0), np.float32(np.inf))
    ramp = STRAIGHT_STEP * np.arange(distance.shape[1], dtype=np.float32)
    for rows in (distance, distance[:, ::-1]):
        rows[:] = np.minimum.accumulate(rows - ramp, axis=1) + ramp
    for rows in (distance, distance[::-1]):
        for last, row in pairwise(rows):
            steps = last[1:-1] + STRAIGHT_STEP, last[:-2] + DIAGONAL_STEP, last[2:] + DIAGONAL_STEP
            row[1:-1] = np.minimum.reduce([row[1:-1], *steps])
    return distance[1:-1, 1:-1]
