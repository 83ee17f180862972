"""Image preprocessing of training and tracking: size and normalization of the network's input."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aotlab.configs.schema import InputConfig
from aotlab.networks.cache import cache_table

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
"""ImageNet statistics of RGB in [0, 1], subtracted and divided per channel."""
STRIDE = 16
"""Pixels per token of the encoder's last map."""
MAX_ENLARGEMENT = 2.0
"""Largest factor by which frames are scaled up."""


def normalize(image: Tensor) -> Tensor:
    """Convert an image ...×3×H×W of floats in [0, 1] to the input of encoders."""
    mean, std = _mean_and_std(image.dtype, image.device)
    return (image - mean).div_(std)


@cache_table
def _mean_and_std(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return `IMAGE_MEAN` and `IMAGE_STD` as 2×3×1×1."""
    return torch.tensor([IMAGE_MEAN, IMAGE_STD], dtype=dtype, device=device)[..., None, None]


def network_size(
    size: tuple[int, int], limits: InputConfig, *, align_corners: bool, min_object_area: int | None = None
) -> tuple[int, int]:
    """Return the size to which a frame is resized for the network, as in the published evaluation.

    Edges over their limits are scaled down; ``min_short_edge`` and ``min_object`` scale up (not part of the published
    rule); then ``scale`` applies; then both sides are truncated to whole pixels, and rounded by `round_to_grid`.

    Args:
        size: (height, width) of the frame in pixels.
        limits: limits of the edges.
        align_corners: whether the model aligns corners.
        min_object_area: area of the smallest object in pixels; None if unknown: ``min_object`` is ignored.

    Returns:
        (height, width) in pixels.
    """
    height, width = float(size[0]), float(size[1])
    if limits.max_short_edge is not None and min(height, width) > limits.max_short_edge:
        ratio = limits.max_short_edge / min(height, width)
        height, width = height * ratio, width * ratio
    if limits.max_long_edge is not None and max(height, width) > limits.max_long_edge:
        ratio = limits.max_long_edge / max(height, width)
        height, width = height * ratio, width * ratio
    object_side = None if min_object_area is None else math.sqrt(min_object_area / (size[0] * size[1]) * height * width)
    ratio = _enlargement_factor(height, width, object_side, limits) * limits.scale
    height, width = (round_to_grid(int(side * ratio), align_corners=align_corners) for side in (height, width))
    return height, width


def round_to_grid(side: float, *, align_corners: bool, min_tokens: int = 1) -> int:
    """Round a side in pixels to 16k+1 (``align_corners``) or 16k, k at least ``min_tokens``, with ties to even k."""
    extra = int(align_corners)
    return max(round((side - extra) / STRIDE), min_tokens) * STRIDE + extra


def _enlargement_factor(height: float, width: float, object_side: float | None, limits: InputConfig) -> float:
    """Return the factor, at least 1, by which a frame is scaled up; its smallest object has ``object_side``² pixels."""
    if limits.max_long_edge is None:
        return 1.0
    max_factor = min(MAX_ENLARGEMENT, limits.max_long_edge / max(height, width))
    if limits.max_short_edge is not None:
        max_factor = min(max_factor, limits.max_short_edge / min(height, width))
    target_factor = (limits.min_short_edge or 0) / min(height, width)
    if object_side is not None and limits.min_object is not None:
        target_factor = max(target_factor, limits.min_object / object_side)
    return max(1.0, min(target_factor, max_factor))
