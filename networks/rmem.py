"""RMem: Restricted Memory Banks Improve Video Object Segmentation (Zhou, Pang, Wang; CVPR 2024).

AOT+, an AOT whose short-term attention is recurrent, and DeAOT, both with a temporal embedding. ERMU has the same
models. Policies decide which frames stay in memory (`aotlab.engine.memory.policies`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.schema import ModelConfig, StageConfig
from aotlab.networks.aot import AOT
from aotlab.networks.attention import Attention, Size, sine_position, split_heads
from aotlab.networks.deaot import DeAOT, GPMBlock
from aotlab.networks.layers import FeedForward, SelfAttention, init_xavier
from aotlab.networks.model import BlockMemory, KeyValue, PropagatedFrame, VOSModel

AddTemporal = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""adds the temporal embedding to queries B×L×C and keys B×(T·L)×C"""


class TemporalEmbedding(nn.Module):
    """Adds one vector to all queries, and to the keys of each memory frame one that is chosen by the frame's age."""

    def __init__(self, slots: int, dim: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(1, dim))
        self.memory = nn.Parameter(torch.empty(slots, dim))
        for parameter in self.parameters():
            nn.init.trunc_normal_(parameter, std=0.05)

    def forward(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Query B×L×C and keys B×(T·L)×C, oldest frame first, with their embeddings added."""
        frames = key.shape[1] // query.shape[1]
        embedding = self.memory[temporal_slots_by_age(frames, len(self.memory), key.device)]  # T×C
        key = key.unflatten(1, (frames, -1)) + embedding[:, None]  # B×T×L×C
        return query + self.query, key.flatten(1, 2)


def temporal_slots_by_age(frames: int, slots: int, device: torch.device | None = None) -> Tensor:
    """Return the slot of each frame, below ``slots``, oldest frame first.

    Each frame has its own while there are enough; then they are shared evenly, counted from the newest.
    """
    index = torch.arange(frames, device=device)
    if frames <= slots:
        return index
    return slots - 1 - (frames - 1 - index) * slots // frames


class RecurrentState(NamedTuple):
    """A frame in a recurrent block before its identities are known."""

    key: Tensor
    """B×L×C, also the query"""
    tokens: Tensor
    """B×L×C, which become long-term values once the identity embedding is added"""
    short_read: Tensor
    """B×L×C, result of short-term attention, from which short-term keys and values are made"""


class RecurrentLSTTBlock(nn.Module):
    """LSTT block of AOT+, whose short-term memory is made of the result of short-term attention on the last frame."""

    def __init__(self, dim: int, config: StageConfig, add_temporal: AddTemporal) -> None:
        """``add_temporal``: `RMemAOT.add_temporal`."""
        super().__init__()
        self.add_temporal = add_temporal
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.self_attention = SelfAttention(dim, config.heads)
        self.query, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.short_key, self.short_value = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.short_norm = nn.LayerNorm(dim)
        self.unused_key = nn.Linear(dim, dim)  # unused; published checkpoints hold it
        self.attention = Attention(config.heads)
        self.long_projection, self.short_projection = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.feedforward = FeedForward(dim, config.feedforward)
        self.drop_path = StochasticDepth(config.drop_path, mode="row")
        init_xavier(self)

    def forward(
        self, x: Tensor, size: Size, memory: BlockMemory | None, id_embedding: Tensor | None
    ) -> tuple[Tensor, RecurrentState]:
        """Propagate memory to the current frame; arguments as `aotlab.networks.aot.LSTTBlock.forward`.

        Short-term attention reads all tokens. A reference frame reads its own long-term memory as both.
        """
        x = x + self.drop_path(self.self_attention(self.norm1(x), sine_position(size, x)))
        tokens = self.norm2(x)
        query = self.query(tokens)  # also the key, as in AOT
        if memory is None:
            reference = KeyValue(query, self.value(tokens + id_embedding))
            memory = BlockMemory(reference, reference)
        long, short = memory
        long_query, long_key = self.add_temporal(query, long.key)
        long_read = self.long_projection(self.attention(long_query, long_key, long.value))
        key, value = self.short_norm(short.key + query), self.short_norm(short.value + tokens)
        short_read = self.short_projection(self.attention(query, key, value))
        x = x + long_read + short_read
        state = RecurrentState(query, tokens, short_read)
        return x + self.drop_path(self.feedforward(self.norm3(x), size)), state

    def memorize(self, state: RecurrentState, id_embedding: Tensor) -> BlockMemory:
        """Return the frame's memory: long-term of its tokens, short-term of short-term attention's result."""
        long = KeyValue(state.key, self.value(state.tokens + id_embedding))
        short = KeyValue(self.short_key(state.short_read), self.short_value(state.short_read + id_embedding))
        return BlockMemory(long, short)


class TemporalModel(VOSModel):
    """Model with a temporal embedding, which its blocks add to the queries and keys of long-term attention."""

    temporal: TemporalEmbedding | None

    def add_temporal(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Add the temporal embedding, if any, to queries B×L×C and keys B×(T·L)×C."""
        return (query, key) if self.temporal is None else self.temporal(query, key)

    def compare(self, propagated: PropagatedFrame, key: Tensor) -> tuple[Tensor, Tensor]:
        """Compare queries and keys with their temporal embedding; see `VOSModel.compare`."""
        query, key = self.add_temporal(propagated.states[0].key, key)
        return split_heads(query, self.heads), split_heads(key, self.heads)


class RMemAOT(TemporalModel, AOT):
    """AOT+: AOT with recurrent blocks and, if the config has slots, a temporal embedding."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        slots = config.stages[0].temporal_slots
        self.temporal = TemporalEmbedding(slots, config.dim) if slots else None

    def build_block(self) -> nn.Module:
        """Return a recurrent block that adds the temporal embedding."""
        return RecurrentLSTTBlock(self.config.dim, self.config.stages[0], self.add_temporal)


class TemporalGPMBlock(GPMBlock):
    """GPM block whose long-term attention compares queries and keys with their temporal embeddings."""

    def __init__(self, dim: int, config: StageConfig, *, first: bool, add_temporal: AddTemporal) -> None:
        """``add_temporal``: `RMemDeAOT.add_temporal`; the rest as `GPMBlock`."""
        super().__init__(dim, config, first=first)
        self.add_temporal = add_temporal

    def attend_long_term(self, query: Tensor, long: KeyValue) -> Tensor:
        """Attend with queries B×L×C/2 to long-term memory: B×L×4C."""
        query, key = self.add_temporal(query, long.key)
        return self.long_attention(query, key, long.value)


class RMemDeAOT(TemporalModel, DeAOT):
    """DeAOT with a temporal embedding."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.temporal = TemporalEmbedding(config.stages[0].temporal_slots, config.dim // 2)

    def build_block(self, *, first: bool) -> GPMBlock:
        """Return a block that adds the temporal embedding."""
        stage = self.config.stages[0]
        return TemporalGPMBlock(self.config.dim, stage, first=first, add_temporal=self.add_temporal)
