"""Kernel of bicubic resizing that resizes rows, then columns."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.networks.primitives import resize

SHARPNESS = -0.75
"""parameter of the cubic, as in PyTorch"""


def _by_axis(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Rows, then columns: 4 taps each, instead of 16 for both at once."""
    batch, planes, height, width = image.shape
    rows = image.permute(2, 3, 0, 1).reshape(height, -1)  # H×(W·B·C)
    rows = _weighted_rows(rows, size[0]).view(size[0], width, -1).transpose(0, 1)  # W×H'×(B·C)
    columns = _weighted_rows(rows.reshape(width, -1), size[1]).view(size[1], size[0], batch, planes)
    return columns.permute(2, 3, 1, 0).contiguous()


def _weighted_rows(x: Tensor, length: int) -> Tensor:
    """Resize the first axis of L×N to ``length``: each row a weighted sum of four."""
    index, weight = _taps(len(x), length, x.device)
    return F.embedding_bag(index, x, per_sample_weights=weight, mode="sum")


@lru_cache(maxsize=32)
def _taps(before: int, after: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Indices and weights, after×4 each, of the four pixels of a line of ``before`` that make one of ``after``."""
    centre = (torch.arange(after, dtype=torch.float32, device=device) + 0.5) * (before / after) - 0.5
    first = centre.floor()
    offset = torch.arange(-1, 3, device=device)
    distance = (centre[:, None] - first[:, None] - offset).abs()
    near = ((SHARPNESS + 2) * distance - (SHARPNESS + 3)) * distance**2 + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * SHARPNESS
    index = (first.long()[:, None] + offset).clamp(0, before - 1)
    return index, torch.where(distance <= 1, near, far)


def _fits(name: str, image: Tensor, size: tuple[int, int]) -> bool:
    """The sums by axis are for inference."""
    return name == "plain" or not torch.is_grad_enabled()


resize.add({"by_axis": _by_axis}, sizes=lambda image, size: (*image.shape, *size), fits=_fits)
