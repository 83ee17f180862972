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
    """Return the components of a mask H×W bool far from those with a point (x, y) or, without any, from the largest.

    ``max_distance``: in units of the square root of the area of the components with a point.
    """
    height, width = mask.shape
    components = label_components(mask)
    x, y = np.rint(points).clip(0, (width - 1, height - 1)).astype(int).T
    seed = mask & np.isin(components, components[y, x])
    if not seed.any():
        seed = components == 1 + np.bincount(components.ravel(), minlength=2)[1:].argmax()
    is_near = measure_distance(seed) <= max_distance * np.sqrt(seed.sum())
    return mask & ~np.isin(components, components[mask & is_near])


def label_components(mask: np.ndarray) -> np.ndarray:
    """Label the 8-connected components of a mask H×W bool with numbers above 0: H×W, 0 is background.

    Runs of pixels in a row are joined by hooking and pointer jumping (Shiloach and Vishkin, 1982).
    """
    row = mask.shape[1] + 2  # with a background pixel on each side
    starts, stops = np.flatnonzero(np.diff(np.pad(mask, 1).ravel())).reshape(-1, 2).T
    runs = np.arange(len(starts))
    contacts = []
    for step in (-row, row):  # to the first run that touches in the row above and below; others follow from these
        neighbors = np.searchsorted(stops, starts + step)
        is_contact = np.append(starts, np.inf)[neighbors] <= stops + step
        contacts.append([runs[is_contact], neighbors[is_contact]])
    pairs, parents = np.concatenate(contacts, axis=1), runs.copy()
    while (parents[pairs[0]] != parents[pairs[1]]).any():  # each run takes the smallest number it touches
        np.minimum.at(parents, parents[pairs].max(0), parents[pairs].min(0))
        parents = parents[parents]
    components = np.zeros(mask.shape, int)
    components[mask] = np.repeat(parents + 1, stops - starts)
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
