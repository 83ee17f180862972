"""The block of AOST: identities also weigh keys (Yang et al. 2024)."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.schema import StageConfig
from aotlab.networks.attention import global_attention, local_attention
from aotlab.networks.block import Block, BlockMemory, KeyValue
from aotlab.networks.layers import FeedForward, SelfAttention, initialise
from aotlab.networks.positions import (
    Size,
    position_key,
    position_value,
    relative_position,
    sine_position,
)
from aotlab.networks.primitives import Linear
from aotlab.networks.temporal import TemporalEmbedding


class AOSTBlock(Block):
    """One block. An identity embedding scales each head's keys by 1 + tanh of a number, and adds to the values."""

    unlabelled = KeyValue

    def __init__(self, dim: int, config: StageConfig, first: bool) -> None:
        """``first``: whether it is the model's first block; all are alike."""
        super().__init__(dim, config, first)
        heads, window = config.heads, config.window
        self.heads = heads
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.self_attention = SelfAttention(dim, config.self_heads or heads, config.self_stride)
        self.key_value = Linear(dim, 2 * dim)
        self.id_key_value = Linear(dim, heads + dim)
        self.long_projection, self.short_projection = Linear(dim, dim), Linear(dim, dim)
        self.position_key = position_key(dim, heads, window)
        self.position_value = position_value(dim, heads, window)
        self.feedforward = FeedForward(dim, config.feedforward)
        self.drop_path = StochasticDepth(config.drop_path, mode="row")
        initialise(self)

    @staticmethod
    def identity_norm(dim: int) -> nn.Module:
        """A LayerNorm."""
        return nn.LayerNorm(dim)

    def forward(
        self,
        x: Tensor,
        size: Size,
        memory: BlockMemory | None,
        identity: Tensor | None,
        temporal: TemporalEmbedding | None = None,
    ) -> tuple[Tensor, KeyValue]:
        """Propagate memory to the current frame: B×L×C to B×L×C."""
        x = x + self.drop_path(self.self_attention(self.norm1(x), sine_position(size, x.shape[2], x.device)))
        query, value = self.key_value(self.norm2(x)).chunk(2, dim=2)
        current = KeyValue(query, value)
        if memory is None:
            memory = self.memorize(current, identity)
        long_key = memory.long.key
        long_query, long_key = (query, long_key) if temporal is None else temporal(query, long_key)
        long = global_attention(long_query, long_key, memory.long.value, self.heads)
        position = relative_position(self.position_key, self.position_value)
        short = local_attention(query, memory.short.key, memory.short.value, size, position)
        x = x + self.long_projection(long) + self.short_projection(short)
        return x + self.drop_path(self.feedforward(self.norm3(x), size)), current

    def memorize(self, current: KeyValue, identity: Tensor | None) -> BlockMemory:
        """Label this frame's memory: the identity embedding B×L×C scales the key and is added to the value."""
        assert identity is not None
        gain, value = self.id_key_value(identity).tensor_split([self.heads], dim=2)  # B×L×heads, B×L×C
        key = current.key.unflatten(2, (self.heads, -1)) * (1 + gain.tanh()).unsqueeze(3)
        memory = KeyValue(key.flatten(2), current.value + value)
        return BlockMemory(memory, memory)
