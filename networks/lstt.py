"""The LSTT block of AOT: self-attention, long-term and short-term attention, feed-forward (AOT section 4.3)."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.schema import StageConfig
from aotlab.networks.attention import RelativePosition, global_attention, local_attention
from aotlab.networks.block import Block, BlockMemory, KeyValue, Size
from aotlab.networks.products import Linear
from aotlab.networks.temporal import TemporalEmbedding


@lru_cache(maxsize=32)
def sine_position(size: Size, dim: int, device: torch.device) -> Tensor:
    """Sine embedding of a token's place, 1×L×dim: first half for y, second for x (AOT, section 5.1)."""
    half = dim // 2
    channel = torch.arange(half, device=device)
    period = 10000 ** (2 * (channel // 2) / half)
    axes = []
    for length in size:
        place = torch.arange(length, device=device) / (length - 1 + 1e-6) * (2 * math.pi)
        angle = place[:, None] / period
        axes.append(torch.where(channel % 2 == 0, angle.sin(), angle.cos()))
    height, width = size
    rows = axes[0][:, None].expand(height, width, half)
    columns = axes[1][None].expand(height, width, half)
    return torch.cat([rows, columns], dim=2).flatten(0, 1)[None]


class SelfAttention(nn.Module):
    """Projections of the self-attention among a frame's own tokens."""

    def __init__(self, dim: int, heads: int, stride: int = 1) -> None:
        """``stride``: one token in so many, in row order, is read."""
        super().__init__()
        self.heads, self.stride = heads, stride
        self.query, self.key, self.value = Linear(dim, dim), Linear(dim, dim), Linear(dim, dim)
        self.projection = Linear(dim, dim)

    def forward(self, x: Tensor, position: Tensor | None) -> Tensor:
        """B×L×C to B×L×C; the position embedding, if any, goes into queries and keys."""
        placed = x if position is None else x + position
        key, value = self.key(placed[:, :: self.stride]), self.value(x[:, :: self.stride])
        return self.projection(global_attention(self.query(placed), key, value, self.heads))


class FeedForward(nn.Module):
    """Two linear layers with GroupNorm, GELU and a depthwise 5×5 convolution between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.expand = Linear(dim, hidden)
        self.norm = nn.GroupNorm(32, hidden)
        self.conv = nn.Conv2d(hidden, hidden, 5, padding=2, groups=hidden, bias=False)
        self.reduce = Linear(hidden, dim)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """B×L×C to B×L×C; ``size`` is the map's."""
        hidden = self.expand(x).unflatten(1, size).permute(0, 3, 1, 2)
        hidden = self.conv(nn.functional.gelu(self.norm(hidden)))
        return self.reduce(hidden.permute(0, 2, 3, 1).flatten(1, 2))


class LSTTBlock(Block):
    """One block."""

    has_mask_token = True

    def __init__(self, dim: int, config: StageConfig, first: bool) -> None:
        """``first``: whether it is the model's first block; all are alike."""
        super().__init__(dim, config, first)
        heads, window = config.heads, config.window
        self.heads, self.window, self.sine_position = heads, window, config.sine_position
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.self_attention = SelfAttention(dim, config.self_heads or heads, config.self_stride)
        self.query, self.value = Linear(dim, dim), Linear(dim, dim)
        self.long_projection = Linear(dim, dim)
        self.short_projection = Linear(dim, dim) if window else None
        self.position_key = self.position_value = None
        if window and config.relative_position:
            self.position_key = nn.Conv2d(dim, heads * window**2, 1, groups=heads)
            self.position_value = nn.Parameter(torch.zeros(heads, dim // heads, window**2))
        self.feedforward = FeedForward(dim, config.feedforward)
        self.drop_path = StochasticDepth(config.drop_path, mode="row")
        for parameter in self.parameters():
            if parameter.dim() > 1 and parameter is not self.position_value:
                nn.init.xavier_uniform_(parameter)

    def forward(
        self,
        x: Tensor,
        size: Size,
        memory: BlockMemory | None,
        identity: Tensor | None,
        temporal: TemporalEmbedding | None = None,
    ) -> tuple[Tensor, KeyValue]:
        """Propagate memory to the current frame: B×L×C to B×L×C."""
        sine = sine_position(size, x.shape[2], x.device) if self.sine_position else None
        x = x + self.drop_path(self.self_attention(self.norm1(x), sine))
        placed = self.norm2(x)
        query = self.query(placed)
        current = KeyValue(query, placed)
        if memory is None:
            memory = self.memorize(current, identity)
        asked, key = (query, memory.long.key) if temporal is None else temporal(query, memory.long.key)
        x = x + self.long_projection(global_attention(asked, key, memory.long.value, self.heads))
        if self.short_projection is not None:
            shape = (self.heads, self.window**2, x.shape[2] // self.heads)
            if self.position_key is None:  # every place of the window is alike
                position = RelativePosition(query.new_zeros(shape), query.new_zeros(shape[:2]), None)
            else:
                bias = self.position_key.bias.view(shape[:2])  # type: ignore[union-attr]
                position = RelativePosition(self.position_key.weight.view(shape), bias, self.position_value)
            short = local_attention(query, memory.short.key, memory.short.value, size=size, position=position)
            x = x + self.short_projection(short)
        return x + self.drop_path(self.feedforward(self.norm3(x), size)), current

    def memorize(self, current: KeyValue, identity: Tensor | None) -> BlockMemory:
        """Label this frame's memory: the key stays, the value takes the identity embedding B×L×C."""
        labelled = current.value if identity is None else current.value + identity
        own = KeyValue(current.key, self.value(labelled))
        return BlockMemory(own, own)
