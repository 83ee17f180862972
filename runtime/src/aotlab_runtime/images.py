"""Interpolation of maps, as matrix products over rows and columns."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

Size = tuple[int, int]
"""(height, width) in pixels"""


def resize(
    maps: np.ndarray, size: Size, *, align_corners: bool = False, antialias: bool = False
) -> np.ndarray:
    """Resize maps ...×h×w to ...×H×W float32 bilinearly, as PyTorch's ``interpolate`` does."""
    rows, columns = (
        interpolation_matrix(source, target, align_corners, antialias)
        for source, target in zip(maps.shape[-2:], size, strict=True)
    )
    return rows @ maps.astype(np.float32, copy=False) @ columns.T


@lru_cache(maxsize=64)
def interpolation_matrix(source: int, target: int, align_corners: bool, antialias: bool) -> np.ndarray:
    """Return the weights of ``source`` pixels in ``target`` pixels, target×source.

    ``antialias``: the triangle of each target pixel is as wide as the source pixels that it covers.
    """
    index = np.arange(target)
    centers: np.ndarray = (index + 0.5) * source / target - 0.5
    if align_corners:
        centers = index * ((source - 1) / max(1, target - 1))
    radius = 1.0
    if antialias:
        radius = max(1.0, source / target)
    else:
        centers = centers.clip(0, source - 1)
    weights = np.maximum(0, 1 - np.abs(np.arange(source) - centers[:, None]) / radius)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def resize_nearest(labels: np.ndarray, size: Size) -> np.ndarray:
    """Resize labels h×w to H×W with nearest-neighbour interpolation, as PyTorch's ``nearest``."""
    rows, columns = (
        (np.arange(target, dtype=np.float32) * np.float32(source / target)).astype(int).clip(max=source - 1)
        for source, target in zip(labels.shape, size, strict=True)
    )
    return labels[rows[:, None], columns]
