"""Layers that blocks share: self-attention and feed-forward."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.networks.attention import global_attention
from aotlab.networks.positions import Size
from aotlab.networks.primitives import DepthwiseConv2d, Linear


def initialise(module: nn.Module) -> None:
    """Draw all parameters of more than one axis Xavier-uniform."""
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)


class SelfAttention(nn.Module):
    """Self-attention among a frame's own tokens."""

    def __init__(self, dim: int, heads: int, stride: int = 1) -> None:
        """``stride``: only every so many-th token, in row order, is read."""
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
        hidden = self.conv(F.gelu(self.norm(hidden)))
        return self.reduce(hidden.permute(0, 2, 3, 1).flatten(1, 2))
