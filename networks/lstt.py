"""The LSTT block of AOT: self-attention, long-term and short-term attention, feed-forward (AOT section 4.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.schema import StageConfig
from aotlab.networks.attention import RelativePosition, global_attention, local_attention
from aotlab.networks.block import Block, BlockMemory, KeyValue, Size
from aotlab.networks.kernels.products import Linear
from aotlab.networks.layers import FeedForward, SelfAttention, initialise, sine_position
from aotlab.networks.temporal import TemporalEmbedding


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
        initialise(self, self.position_value)

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
        normed = self.norm2(x)
        query = self.query(normed)
        current = KeyValue(query, normed)
        if memory is None:
            memory = self.memorize(current, identity)
        long_query, long_key = query, memory.long.key
        if temporal is not None:
            long_query, long_key = temporal(query, long_key)
        x = x + self.long_projection(global_attention(long_query, long_key, memory.long.value, self.heads))
        if self.short_projection is not None:
            shape = (self.heads, self.window**2, x.shape[2] // self.heads)
            if self.position_key is None:  # all positions of the window are alike
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
        memory = KeyValue(current.key, self.value(labelled))
        return BlockMemory(memory, memory)
