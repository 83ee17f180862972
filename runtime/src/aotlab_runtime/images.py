"""Interpolation of maps, connected components of masks, and distances to masks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

ImageSize = tuple[int, int]
"""(height, width) in pixels"""
STRAIGHT_STEP, DIAGONAL_STEP = 0.955, 1.3693
"""lengths of a straight and a diagonal step to the next pixel, as in OpenCV's ``distanceTransform`` with a 3×3 mask"""


def resize(maps: np.ndarray, size: ImageSize, *, align_corners: bool) -> np.ndarray:
    """Resize maps ...×h×w float32 to ...×H×W bilinearly, as PyTorch's ``interpolate`` does, by matrix products."""
    rows = interpolation_matrix(maps.shape[-2], size[0], align_corners)
    columns = interpolation_matrix(maps.shape[-1], size[1], align_corners)
    return rows @ maps @ columns.T


def interpolation_matrix(source: int, target: int, align_corners: bool) -> np.ndarray:
    """Return the weights of ``source`` pixels in ``target`` pixels, target×source."""
    if align_corners:
        centers = np.arange(target) * ((source - 1) / max(1, target - 1))
    else:
        centers = ((np.arange(target) + 0.5) * source / target - 0.5).clip(0, source - 1)
    return np.maximum(0, 1 - np.abs(np.arange(source) - centers[:, None])).astype(np.float32)


def resize_nearest(labels: np.ndarray, size: ImageSize) -> np.ndarray:
    """Resize labels h×w to H×W with nearest-neighbor interpolation, as PyTorch's ``nearest``."""
    rows, columns = (
        (np.arange(target, dtype=np.float32) * np.float32(source / target)).astype(int).clip(max=source - 1)
        for source, target in zip(labels.shape, size, strict=True)
    )
    return labels[rows[:, None], columns]


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
    ramp = STRAIGHT_STEP * np.arange(mask.shape[1], dtype=np.float32)
    for rows in (distance, distance[:, ::-1]):
        rows[:] = np.minimum.accumulate(rows - ramp, axis=1) + ramp
    for rows in (distance, distance[::-1]):
        for near, row in pairwise(rows):
            np.minimum(row, near + STRAIGHT_STEP, out=row)
            np.minimum(row[1:], near[:-1] + DIAGONAL_STEP, out=row[1:])
            np.minimum(row[:-1], near[1:] + DIAGONAL_STEP, out=row[:-1])
    return distance
