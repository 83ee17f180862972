"""The LSTT block of AOT: self-attention, long-term and short-term attention, feed-forward (AOT section 4.3)."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.schema import StageConfig
from aotlab.networks.attention import global_attention, local_attention
from aotlab.networks.block import Block, BlockMemory, KeyValue, TemporalEmbedding, Unlabelled
from aotlab.networks.layers import FeedForward, SelfAttention, initialise
from aotlab.networks.positions import (
    Size,
    no_position,
    position_key,
    position_value,
    relative_position,
    sine_position,
)
from aotlab.networks.primitives import Linear


class NormedTokens(NamedTuple):
    """A frame in an LSTT block before identities label it."""

    key: Tensor
    """B×L×C"""
    normed: Tensor
    """B×L×C, tokens that become values when an identity embedding is added"""


class LSTTBlock(Block):
    """One block.

    A subclass may make queries and memory in another way: `make_projections`, `project` and `memorize`.
    """

    unlabelled: type[Any] = NormedTokens
    has_mask_token = True

    def __init__(self, dim: int, config: StageConfig, first: bool) -> None:
        """``first``: whether it is the model's first block; all are alike."""
        super().__init__(dim, config, first)
        heads, window = config.heads, config.window
        self.heads, self.window, self.sine_position = heads, window, config.sine_position
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.self_attention = SelfAttention(dim, config.self_heads or heads, config.self_stride)
        self.make_projections(dim)
        self.long_projection = Linear(dim, dim)
        self.short_projection = Linear(dim, dim) if window else None
        self.position_key = self.position_value = None
        if window and config.relative_position:
            self.position_key = position_key(dim, heads, window)
            self.position_value = position_value(dim, heads, window)
        self.feedforward = FeedForward(dim, config.feedforward)
        self.drop_path = StochasticDepth(config.drop_path, mode="row")
        initialise(self)

    def make_projections(self, dim: int) -> None:
        """Make the layers that `project` and `memorize` need."""
        self.query, self.value = Linear(dim, dim), Linear(dim, dim)

    def forward(
        self,
        x: Tensor,
        size: Size,
        memory: BlockMemory | None,
        identity: Tensor | None,
        temporal: TemporalEmbedding | None = None,
    ) -> tuple[Tensor, Unlabelled]:
        """Propagate memory to the current frame: B×L×C to B×L×C."""
        sine = sine_position(size, x.shape[2], x.device) if self.sine_position else None
        x = x + self.drop_path(self.self_attention(self.norm1(x), sine))
        current = self.project(self.norm2(x))
        query = current.key
        long, short = self.memorize(current, identity) if memory is None else memory
        long_query, long_key = (query, long.key) if temporal is None else temporal(query, long.key)
        x = x + self.long_projection(global_attention(long_query, long_key, long.value, self.heads))
        if self.short_projection is not None:
            if self.position_key is None:
                position = no_position(query, self.heads, self.window)
            else:
                position = relative_position(self.position_key, self.position_value)
            x = x + self.short_projection(local_attention(query, short.key, short.value, size, position))
        return x + self.drop_path(self.feedforward(self.norm3(x), size)), current

    def project(self, normed: Tensor) -> Unlabelled:
        """Return the frame of normed tokens B×L×C before identities label it."""
        return NormedTokens(self.query(normed), normed)

    def memorize(self, current: Any, identity: Tensor | None) -> BlockMemory:
        """Label this frame's memory: the key stays, the value includes the identity embedding B×L×C."""
        labelled = current.normed if identity is None else current.normed + identity
        memory = KeyValue(current.key, self.value(labelled))
        return BlockMemory(memory, memory)
