"""The LSTT block of AOT+ (RMem), whose short-term memory is the result of short-term attention on the last frame."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.schema import StageConfig
from aotlab.networks.attention import global_attention
from aotlab.networks.block import Block, BlockMemory, KeyValue, TemporalEmbedding
from aotlab.networks.layers import FeedForward, SelfAttention, initialise
from aotlab.networks.positions import Size, sine_position
from aotlab.networks.primitives import Linear


class TokensAndResult(NamedTuple):
    """A frame in a recurrent block before identities label it."""

    key: Tensor
    """B×L×C"""
    normed: Tensor
    """B×L×C, tokens that become long-term values when an identity embedding is added"""
    short: Tensor
    """B×L×C, result of short-term attention, from which short-term keys and values are made"""


class RecurrentLSTTBlock(Block):
    """One block. Its short-term memory is made of the result of short-term attention, not of the frame's tokens."""

    unlabelled = TokensAndResult

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
    ) -> tuple[Tensor, TokensAndResult]:
        """Propagate memory to the current frame: B×L×C to B×L×C.

        A reference frame reads its own long-term memory as both.
        """
        x = x + self.drop_path(self.self_attention(self.norm1(x), sine_position(size, x.shape[2], x.device)))
        normed = self.norm2(x)
        query = self.query(normed)
        if memory is None:
            reference = KeyValue(query, self.value(normed + identity))
            memory = BlockMemory(reference, reference)
        long_key = memory.long.key
        long_query, long_key = (query, long_key) if temporal is None else temporal(query, long_key)
        long = global_attention(long_query, long_key, memory.long.value, self.heads)
        key, value = self.short_norm(memory.short.key + query), self.short_norm(memory.short.value + normed)
        short = self.short_projection(global_attention(query, key, value, self.heads))
        x = x + self.long_projection(long) + short
        x = x + self.drop_path(self.feedforward(self.norm3(x), size))
        return x, TokensAndResult(query, normed, short)

    def memorize(self, current: TokensAndResult, identity: Tensor | None) -> BlockMemory:
        """Label this frame's memory: long-term of its tokens, short-term of short-term attention's result."""
        assert identity is not None
        key, normed, short = current
        long = KeyValue(key, self.value(normed + identity))
        return BlockMemory(long, KeyValue(self.short_key(short), self.short_value(short + identity)))
