"""Pixels of masks far from prompts; components of masks, and distances to them."""

from itertools import pairwise

import numpy as np

STRAIGHT_STEP, DIAGONAL_STEP = 0.955, 1.3693
"""Lengths of a straight and a diagonal step to the next pixel, as in OpenCV's ``distanceTransform`` with a 3×3 mask."""


def find_pixels_far_from_box(mask: np.ndarray, box: np.ndarray, points: np.ndarray, margin: float) -> np.ndarray:
    """Return the pixels of a mask H×W bool outside a box, which is widened to points (x, y).

    ``box``: (left, top) and (right, bottom). ``margin``: added to each side, as a fraction of the width or height.
    """
    margins = margin * (box[1] - box[0])
    corners = np.concatenate([box + np.stack([-margins, margins]), points])
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    return mask & ~((top <= y) & (y <= bottom) & (left <= x) & (x <= right))


def find_pixels_far_from_points(mask: np.ndarray, points: np.ndarray, max_distance: float) -> np.ndarray:
    """Return the components of a mask H×W bool far from those with a point (x, y) or, without any, from the largest."""
    height, width = mask.shape
    components = label_components(mask)
    x, y = np.rint(points).clip(0, (width - 1, height - 1)).astype(int).T
    seed = mask & np.isin(components, components[y, x])
    if not seed.any():
        seed = components == 1 + np.bincount(components.ravel(), minlength=2)[1:].argmax()
    is_near = measure_distance(seed) <= max_distance * np.sqrt(seed.sum())  # a fraction of the side of that area
    return mask & ~np.isin(components, components[mask & is_near])


def label_components(mask: np.ndarray) -> np.ndarray:
    """Label the 8-connected components of a mask H×W bool with numbers above 0: H×W, 0 is background."""
    row = mask.shape[1] + 2  # with a background pixel on each side
    starts, stops = np.flatnonzero(np.diff(np.pad(mask, 1).ravel())).reshape(-1, 2).T
    first = np.searchsorted(stops, starts - row)  # runs first to last - 1 touch in the row above
    last = np.searchsorted(starts, stops - row, side="right")
    parents = list(range(len(starts)))  # of runs, in a union-find forest

    def find_root(run: int) -> int:
        while parents[run] != run:
            parents[run] = parents[parents[run]]
            run = parents[run]
        return run

    for run in range(len(starts)):
        for neighbor in range(first[run], last[run]):
            roots = find_root(run), find_root(neighbor)
            parents[max(roots)] = min(roots)
    components = np.zeros(mask.shape, int)
    components[mask] = np.repeat([1 + find_root(run) for run in parents], stops - starts)
    return components


def measure_distance(mask: np.ndarray) -> np.ndarray:
    """Return the chamfer distance H×W in pixels to a mask H×W bool, not empty."""
    distance = np.where(np.pad(mask, 1), np.float32(0), np.float32(np.inf))
    ramp = STRAIGHT_STEP * np.arange(distance.shape[1], dtype=np.float32)
    for rows in (distance, distance[:, ::-1]):  # to the right, to the left
        rows[:] = np.minimum.accumulate(rows - ramp, axis=1) + ramp
    for rows in (distance, distance[::-1]):  # down, up
        for last, row in pairwise(rows):
            steps = last[1:-1] + STRAIGHT_STEP, last[:-2] + DIAGONAL_STEP, last[2:] + DIAGONAL_STEP
            row[1:-1] = np.minimum.reduce([row[1:-1], *steps])
    return distance[1:-1, 1:-1]
