"""Guided filter: masks that follow the edges of their image (He, Sun, Tang: Guided Image Filtering, 2013)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

REGULARIZATION = 1e-3
"""Variance of colors in 0 to 1 below which a square counts as flat."""


def guided_filter(logits: Tensor, image: Tensor, size: tuple[int, int], radius: int) -> Tensor:
    """Return logits H×W whose outlines lie on edges of the image.

    Around each pixel the probability is an affine function of the color, fitted at ``size`` and applied at full size.

    Args:
        logits: H×W.
        image: 3×H×W, 0 to 255.
        size: (height, width) at which the functions are fitted.
        radius: radius of the squares that they are fitted on, in pixels of ``size``.
    """
    guide = image[None].float() / 255
    colors = F.interpolate(guide, size, mode="bilinear", antialias=True)
    masks = F.interpolate(logits.sigmoid()[None, None], size, mode="bilinear", antialias=True)
    mean_color, mean_mask = _average(colors, radius), _average(masks, radius)
    covariance = _average(colors * masks, radius) - mean_color * mean_mask
    products = (colors[:, :, None] * colors[:, None]).flatten(1, 2)
    variance = _average(products, radius).unflatten(1, (3, 3)) - mean_color[:, :, None] * mean_color[:, None]
    variance = variance + REGULARIZATION * torch.eye(3, device=variance.device)[..., None, None]
    slope = _solve_symmetric(variance, covariance)
    offset = mean_mask - (slope * mean_color).sum(1, keepdim=True)
    affine = F.interpolate(_average(torch.cat([slope, offset], 1), radius), logits.shape, mode="bilinear")
    probability = (affine[:, :3] * guide).sum(1) + affine[:, 3]
    return torch.logit(probability.clamp(1e-4, 1 - 1e-4))[0]


def _average(maps: Tensor, radius: int) -> Tensor:
    """Average maps B×C×H×W over squares; at the border over the part inside the map."""
    side = 2 * radius + 1
    rows = F.avg_pool2d(maps, (side, 1), 1, (radius, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, side), 1, (0, radius), count_include_pad=False)


def _solve_symmetric(matrices: Tensor, values: Tensor) -> Tensor:
    """Solve symmetric systems B×3×3×H×W for values B×3×H×W by Cramer's rule, far faster than `torch.linalg.solve`."""
    first, second, third = matrices.unbind(1)
    columns = [
        torch.linalg.cross(second, third, dim=1),
        torch.linalg.cross(third, first, dim=1),
        torch.linalg.cross(first, second, dim=1),
    ]
    determinant = (first * columns[0]).sum(1, keepdim=True)
    return sum(column * values[:, n : n + 1] for n, column in enumerate(columns)) / determinant  # type: ignore[return-value]
