"""The LSTT block of AOT+ (RMem): short-term memory is made of what short-term attention gave on the last frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.schema import StageConfig
from aotlab.networks.attention import global_attention
from aotlab.networks.block import Block, BlockMemory, KeyValue, Size
from aotlab.networks.kernels.products import Linear
from aotlab.networks.layers import FeedForward, SelfAttention, initialise, sine_position
from aotlab.networks.temporal import TemporalEmbedding


class RecurrentLSTTBlock(Block):
    """One block. Its short-term memory is made of the output of short-term attention, not of the frame's tokens."""

    def __init__(self, dim: int, config: StageConfig, first: bool) -> None:
        """``first``: whether it is the model's first block; all are alike."""
        super().__init__(dim, config, first)
        self.heads = config.heads
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.self_attention = SelfAttention(dim, config.self_heads or config.heads, config.self_stride)
        self.query, self.value = Linear(dim, dim), Linear(dim, dim)
        self.short_key, self.short_value = Linear(dim, dim), Linear(dim, dim)
        self.short_norm = nn.LayerNorm(dim)
        # Never used; published checkpoints hold it.
        self.idle_key = Linear(dim, dim)
        self.long_projection, self.short_projection = Linear(dim, dim), Linear(dim, dim)
        self.feedforward = FeedForward(dim, config.feedforward)
        self.drop_path = StochasticDepth(config.drop_path, mode="row")
        initialise(self)

    def forward(
        self,
        x: Tensor,
        size: Size,
        memory: BlockMemory | None,
        identity: Tensor | None,
        temporal: TemporalEmbedding | None = None,
    ) -> tuple[Tensor, KeyValue]:
        """Propagate memory to the current frame: B×L×C to B×L×C.

        A reference frame reads its own long-term memory as both. The value returned for `memorize` is B×L×2C, the
        normed tokens and the output of short-term attention.
        """
        x = x + self.drop_path(self.self_attention(self.norm1(x), sine_position(size, x.shape[2], x.device)))
        normed = self.norm2(x)
        query = self.query(normed)
        if memory is None:
            reference = KeyValue(query, self.value(normed + identity))
            memory = BlockMemory(reference, reference)
        long_query, long_key = query, memory.long.key
        if temporal is not None:
            long_query, long_key = temporal(query, long_key)
        long = global_attention(long_query, long_key, memory.long.value, self.heads)
        key, value = self.short_norm(memory.short.key + query), self.short_norm(memory.short.value + normed)
        short = self.short_projection(global_attention(query, key, value, self.heads))
        x = x + self.long_projection(long) + short
        x = x + self.drop_path(self.feedforward(self.norm3(x), size))
        return x, KeyValue(query, torch.cat([normed, short], 2))

    def memorize(self, current: KeyValue, identity: Tensor | None) -> BlockMemory:
        """Label this frame's memory: long-term of its tokens, short-term of short-term attention's output."""
        assert identity is not None
        normed, short = current.value.chunk(2, dim=2)
        long = KeyValue(current.key, self.value(normed + identity))
        return BlockMemory(long, KeyValue(self.short_key(short), self.short_value(short + identity)))
