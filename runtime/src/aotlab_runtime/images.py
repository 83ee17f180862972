"""Interpolation of maps, as matrix products over rows and columns."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

ImageSize = tuple[int, int]
"""(height, width) in pixels"""


def resize(maps: np.ndarray, size: ImageSize, *, align_corners: bool) -> np.ndarray:
    """Resize maps ...×h×w float32 to ...×H×W bilinearly, as PyTorch's ``interpolate`` does."""
    rows, columns = (
        interpolation_matrix(source, target, align_corners)
        for source, target in zip(maps.shape[-2:], size, strict=True)
    )
    return rows @ maps @ columns.T


@lru_cache(maxsize=8)
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
