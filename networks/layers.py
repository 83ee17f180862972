"""Layers that the blocks of the AOT family share: self-attention, feed-forward, and the embedding of positions."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from aotlab.networks.attention import global_attention
from aotlab.networks.block import Size
from aotlab.networks.kernels.depthwise import DepthwiseConv2d
from aotlab.networks.kernels.products import Linear


@lru_cache(maxsize=32)
def sine_position(size: Size, dim: int, device: torch.device) -> Tensor:
    """Sine embedding of a token's position, 1×L×dim: first half for y, second for x (AOT, section 5.1)."""
    half = dim // 2
    channel = torch.arange(half, device=device)
    period = 10000 ** (2 * (channel // 2) / half)
    axes = []
    for length in size:
        position = torch.arange(length, device=device) / (length - 1 + 1e-6) * (2 * math.pi)
        angle = position[:, None] / period
        axes.append(torch.where(channel % 2 == 0, angle.sin(), angle.cos()))
    height, width = size
    rows = axes[0][:, None].expand(height, width, half)
    columns = axes[1][None].expand(height, width, half)
    return torch.cat([rows, columns], dim=2).flatten(0, 1)[None]  # 1×(H·W)×dim


def initialise(block: nn.Module, *kept: nn.Parameter | None) -> None:
    """Xavier-uniform matrices and kernels, all but those to be ``kept``."""
    for parameter in block.parameters():
        if parameter.dim() > 1 and not any(parameter is other for other in kept):
            nn.init.xavier_uniform_(parameter)


class SelfAttention(nn.Module):
    """Self-attention among a frame's own tokens."""

    def __init__(self, dim: int, heads: int, stride: int = 1) -> None:
        """``stride``: one token in so many, in row order, is read."""
        super().__init__()
        self.heads, self.stride = heads, stride
        self.query, self.key, self.value = Linear(dim, dim), Linear(dim, dim), Linear(dim, dim)
        self.projection = Linear(dim, dim)

    def forward(self, x: Tensor, position: Tensor | None) -> Tensor:
        """B×L×C to B×L×C; the position embedding, if any, goes into queries and keys."""
        positioned = x if position is None else x + position
        key, value = self.key(positioned[:, :: self.stride]), self.value(x[:, :: self.stride])
        return self.projection(global_attention(self.query(positioned), key, value, self.heads))


class FeedForward(nn.Module):
    """Two linear layers with GroupNorm, GELU and a depthwise 5×5 convolution between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.expand = Linear(dim, hidden)
        self.norm = nn.GroupNorm(32, hidden)
        self.conv = DepthwiseConv2d(hidden, 5)
        self.reduce = Linear(hidden, dim)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """B×L×C to B×L×C; ``size`` is the map's."""
        hidden = self.expand(x).unflatten(1, size).permute(0, 3, 1, 2)  # B×hidden×H×W
        hidden = self.conv(nn.functional.gelu(self.norm(hidden)))
        return self.reduce(hidden.permute(0, 2, 3, 1).flatten(1, 2))
