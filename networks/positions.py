"""Positions of tokens: absolute in self-attention, relative to the query in short-term attention.

The relative position of AOT and DeAOT is learned: a logit for every offset in the window, linear in the query, and in
AOT a vector that is added to the values seen at that offset. The published models hold the linear map as a 1×1
convolution with a group per head, `relative_emb_k`. It is a ``Conv2d`` here as well, so that their weights load, but it
is never convolved: attention reads its weights as a matrix, for some queries at a time.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

Size = tuple[int, int]
"""(height, width) of a map in tokens"""


class RelativePosition(NamedTuple):
    """Parameters of local attention, per head and offset from the query to a key of its window."""

    weight: Tensor
    """heads×window²×(C/heads): from the unscaled query to a logit"""
    bias: Tensor
    """heads×window²"""
    value: Tensor | None
    """heads×(D/heads)×window², added to the values; None: not learned"""


def position_key(dim: int, heads: int, window: int) -> nn.Conv2d:
    """The layer that holds ``weight`` and ``bias`` of `RelativePosition`."""
    return nn.Conv2d(dim, heads * window**2, 1, groups=heads)


def position_value(dim: int, heads: int, window: int) -> nn.Parameter:
    """The parameter that holds ``value`` of `RelativePosition`."""
    return nn.Parameter(torch.empty(heads, dim // heads, window**2))


def relative_position(key: nn.Conv2d, value: Tensor | None = None) -> RelativePosition:
    """The two parameters as local attention reads them."""
    heads = key.groups
    weight, bias = key.weight.view(heads, -1, key.in_channels // heads), key.bias
    assert bias is not None
    return RelativePosition(weight, bias.view(heads, -1), value)


def no_position(query: Tensor, heads: int, window: int) -> RelativePosition:
    """Positions that are all alike, for a query B×L×C."""
    weight = query.new_zeros(heads, window**2, query.shape[2] // heads)
    return RelativePosition(weight, weight[..., 0], None)


@lru_cache(maxsize=32)
def sine_position(size: Size, dim: int, device: torch.device) -> Tensor:
    """Sine embedding of a token's position, 1×L×dim: first half for y, second for x (AOT, section 5.1)."""
    half = dim // 2
    channel = torch.arange(half, device=device)
    period = 10000 ** ((2 * (channel // 2)).float() / half)
    axes = []
    for length in size:
        position = (
            torch.arange(length, dtype=torch.float32, device=device) / (length - 1 + 1e-6) * (2 * math.pi)
        )
        angle = position[:, None] / period
        axes.append(torch.where(channel % 2 == 0, angle.sin(), angle.cos()))
    height, width = size
    rows = axes[0][:, None].expand(height, width, half)
    columns = axes[1][None].expand(height, width, half)
    return torch.cat([rows, columns], dim=2).flatten(0, 1)[None]  # 1×(H·W)×dim
