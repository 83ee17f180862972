"""The LSTT block of AOT+ (RMem): short-term memory is a global attention to what the last frame's own one found."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.schema import StageConfig
from aotlab.networks.attention import global_attention
from aotlab.networks.block import Block, BlockMemory, KeyValue, Size
from aotlab.networks.lstt import FeedForward, SelfAttention, sine_position
from aotlab.networks.products import Linear
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
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

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
        tokens and what short-term attention found.
        """
        x = x + self.drop_path(self.self_attention(self.norm1(x), sine_position(size, x.shape[2], x.device)))
        placed = self.norm2(x)
        query = self.query(placed)
        if memory is None:
            own = KeyValue(query, self.value(placed + identity))
            memory = BlockMemory(own, own)
        asked, key = (query, memory.long.key) if temporal is None else temporal(query, memory.long.key)
        long = global_attention(asked, key, memory.long.value, self.heads)
        key, value = self.short_norm(memory.short.key + query), self.short_norm(memory.short.value + placed)
        found = self.short_projection(global_attention(query, key, value, self.heads))
        x = x + self.long_projection(long) + found
        x = x + self.drop_path(self.feedforward(self.norm3(x), size))
        return x, KeyValue(query, torch.cat([placed, found], 2))

    def memorize(self, current: KeyValue, identity: Tensor | None) -> BlockMemory:
        """Label this frame's memory: long-term of its tokens, short-term of what short-term attention found."""
        assert identity is not None
        placed, found = current.value.chunk(2, dim=2)
        long = KeyValue(current.key, self.value(placed + identity))
        return BlockMemory(long, KeyValue(self.short_key(found), self.short_value(found + identity)))
