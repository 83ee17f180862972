"""Layers that several papers share."""

from __future__ import annotations

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.networks.attention import Attention, MapSize


def init_xavier(*modules: nn.Module) -> None:
    """Initialize all parameters with more than one axis from Xavier's uniform distribution."""
    for module in modules:
        for parameter in module.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)


class SelfAttention(nn.Module):
    """Multi-head self-attention among a frame's tokens."""

    def __init__(self, dim: int, heads: int, stride: int = 1) -> None:
        """``stride``: keys and values are every ``stride``-th token in row order (PAOT)."""
        super().__init__()
        self.stride = stride
        self.query, self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.attention = Attention(heads)
        self.projection = nn.Linear(dim, dim)

    def forward(self, x: Tensor, position: Tensor | None) -> Tensor:
        """Map B×L×C to B×L×C; the position embedding, if any, is added to queries and keys."""
        query_input = x if position is None else x + position
        key, value = self.key(query_input[:, :: self.stride]), self.value(x[:, :: self.stride])
        return self.projection(self.attention(self.query(query_input), key, value))


class FeedForward(nn.Module):
    """Two linear layers; between them GroupNorm, GELU and a depthwise 5×5 convolution of the map.

    GroupNorm and depthwise convolution are from the published code.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, hidden)
        self.norm = nn.GroupNorm(32, hidden)
        self.conv = nn.Conv2d(hidden, hidden, 5, padding=2, groups=hidden, bias=False)
        self.reduce = nn.Linear(hidden, dim)

    def forward(self, x: Tensor, size: MapSize) -> Tensor:
        """Map B×L×C to B×L×C; ``size`` is the map's (h, w)."""
        hidden = tokens_to_map(self.expand(x), size)  # B×hidden×h×w
        hidden = self.conv(F.gelu(self.norm(hidden)))
        return self.reduce(map_to_tokens(hidden))


class ConvGN(nn.Sequential):
    """Convolution with bias, then GroupNorm of 8 groups."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
        super().__init__(OrderedDict(conv=conv, gn=nn.GroupNorm(8, out_channels)))


def map_to_tokens(x: Tensor) -> Tensor:
    """Map B×C×h×w to B×L×C, row-major."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def tokens_to_map(x: Tensor, size: MapSize) -> Tensor:
    """Map B×L×C to B×C×h×w, ``size`` = (h, w)."""
    return x.unflatten(1, size).permute(0, 3, 1, 2)
