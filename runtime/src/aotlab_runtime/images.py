"""Interpolation of maps and labels; connected components of masks, and distances to them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

ImageSize = tuple[int, int]
"""(height, width) in pixels"""
STRAIGHT_STEP, DIAGONAL_STEP = 0.955, 1.3693
"""lengths of a straight and a diagonal step to the next pixel, as in OpenCV's ``distanceTransform`` with a 3×3 mask"""


def resize(maps: np.ndarray, size: ImageSize, *, align_corners: bool) -> np.ndarray:
    """Resize maps ...×height×width float32 bilinearly, as PyTorch's ``interpolate`` does, by matrix products."""
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
    """Resize labels height×width as PyTorch does with ``mode="nearest"``."""
    rows, columns = (
        (np.arange(target, dtype=np.float32) * np.float32(source / target)).astype(int).clip(max=source - 1)
        for source, target in zip(labels.shape, size, strict=True)
    )
    return labels[rows[:, None], columns]


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
