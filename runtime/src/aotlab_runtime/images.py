"""Interpolation of maps and labels."""

import numpy as np

ImageSize = tuple[int, int]
"""(height, width) in pixels."""


def resize(maps: np.ndarray, size: ImageSize, align_corners: bool) -> np.ndarray:
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
