"""RMem: Restricted Memory Banks Improve Video Object Segmentation (Zhou, Pang, Wang; CVPR 2024).

AOT+, an AOT whose short-term attention is recurrent (method ``aot_rmem``), and DeAOT (``deaot_rmem``), both with a
temporal embedding of ``temporal_slots`` positions. ERMU uses the same models. Policies in `aotlab.engine.memory` decide
which frames stay in memory: ``rmem`` is RMem's, ``ermu`` ERMU's.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.methods import RMemAOTStage, RMemDeAOTStage
from aotlab.configs.schema import ModelConfig
from aotlab.networks.aot import AOT
from aotlab.networks.attention import Attention, MapSize, sine_position
from aotlab.networks.deaot import DeAOT, GPMBlock
from aotlab.networks.layers import FeedForward, SelfAttention, init_xavier
from aotlab.networks.model import Block, BlockMemory, KeyValue


class TemporalEmbedding(nn.Module):
    """Adds a learned vector to all queries, and to the keys of each stored frame the vector of its slot."""

    def __init__(self, slots: int, dim: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, dim))
        self.memory = nn.Parameter(torch.zeros(slots, dim))

    def initialize(self) -> None:
        """Draw the vectors, after the weights of the blocks that share them."""
        for parameter in self.parameters():
            nn.init.trunc_normal_(parameter, std=0.05)

    def forward(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Return query B×L×C and keys B×(T·L)×C, oldest frame first, with their embeddings added."""
        num_frames = key.shape[1] // query.shape[1]
        embedding = self.memory[assign_temporal_slots(num_frames, len(self.memory), key.device)]  # T×C
        key = key.unflatten(1, (num_frames, -1)) + embedding[:, None]  # B×T×L×C
        return query + self.query, key.flatten(1, 2)


def assign_temporal_slots(num_frames: int, slots: int, device: torch.device) -> Tensor:
    """Return the slot 0 to ``slots`` - 1 of each stored frame, oldest first: of 5 frames and 4 slots 0, 1, 2, 3, 3.

    Each frame has its own slot if there are enough; otherwise neighboring frames share slots, newest first.
    """
    frame = torch.arange(num_frames, device=device)
    shared = slots - 1 - (num_frames - 1 - frame) * slots // num_frames  # not below the frame if there are enough
    return frame.minimum(shared)


class TemporalAttention(Attention):
    """Long-term attention of queries and keys with the temporal embedding added."""

    def __init__(self, heads: int, embedding: TemporalEmbedding) -> None:
        super().__init__(heads)
        self.embedding = (embedding,)  # in a tuple, as all blocks share it and the model registers it

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Map B×L×C, B×(T·L)×C and B×(T·L)×D to B×L×D."""
        (embedding,) = self.embedding
        query, key = embedding(query, key)
        return super().forward(query, key, value)

    def split(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Split queries and keys with the embedding added into heads; see `Attention.split`."""
        (embedding,) = self.embedding
        return super().split(*embedding(query, key))


class RecurrentState(NamedTuple):
    """A frame in a recurrent block before its identities are known."""

    key: Tensor
    """B×L×C, also the query."""
    tokens: Tensor
    """B×L×C, which become long-term values once the identity embedding is added."""
    short_output: Tensor | None = None
    """B×L×C, output of short-term attention, from which short-term keys and values are made; None before it."""


class RecurrentLSTTBlock(Block[Tensor, RecurrentState]):
    """LSTT block of AOT+: its short-term attention makes the short-term memory of the next frame."""

    def __init__(self, dim: int, config: RMemAOTStage, temporal: TemporalEmbedding | None = None) -> None:
        """``temporal``: embedding shared by all blocks."""
        super().__init__()
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.self_attention = SelfAttention(dim, config.heads)
        self.query, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.short_key, self.short_value = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.short_norm = nn.LayerNorm(dim)
        self.long_attention = TemporalAttention(config.heads, temporal) if temporal else Attention(config.heads)
        self.short_attention = Attention(config.heads)
        self.long_projection, self.short_projection = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.feedforward = FeedForward(dim, config.feedforward)
        self.drop_path = StochasticDepth(config.drop_path, mode="row")
        init_xavier(self)

    def forward(
        self, x: Tensor, size: MapSize, memory: BlockMemory | None = None, id_embedding: Tensor | None = None
    ) -> tuple[Tensor, RecurrentState]:
        """Map tokens B×L×C to tokens of the same shape and the frame's state; see `Block`."""
        x = x + self.drop_path(self.self_attention(self.norm1(x), sine_position(size, x)))
        tokens = self.norm2(x)
        query = key = self.query(tokens)
        state = RecurrentState(key, tokens)
        long, short, _ = memory or self.reference_memory(state, id_embedding)
        long_output = self.long_projection(self.long_attention(query, long.key, long.value))
        short_key, short_value = self.short_norm(short.key + query), self.short_norm(short.value + tokens)
        short_output = self.short_projection(self.short_attention(query, short_key, short_value))
        x = x + long_output + short_output
        x = x + self.drop_path(self.feedforward(self.norm3(x), size))
        return x, state._replace(short_output=short_output)

    def memorize(self, state: RecurrentState, id_embedding: Tensor) -> BlockMemory:
        """Return the frame's memory: long-term from its tokens, short-term from the output of short-term attention."""
        assert state.short_output is not None
        long = KeyValue(state.key, self.value(state.tokens + id_embedding))
        short = KeyValue(self.short_key(state.short_output), self.short_value(state.short_output + id_embedding))
        return BlockMemory(long, short)

    def reference_memory(self, state: RecurrentState, id_embedding: Tensor | None) -> BlockMemory:
        """Return the memory that a reference frame reads: AOT's, as its short-term attention has not run yet."""
        assert id_embedding is not None
        memory = KeyValue(state.key, self.value(state.tokens + id_embedding))
        return BlockMemory(memory, memory, id_embedding.new_zeros(1, dtype=torch.long))


class TemporalGPMBlock(GPMBlock):
    """GPM block with a temporal embedding."""

    def __init__(self, dim: int, config: RMemDeAOTStage, temporal: TemporalEmbedding | None, *, first: bool) -> None:
        """``temporal``: embedding shared by all blocks. ``first``: see `GPMBlock`."""
        super().__init__(dim, config, first=first)
        if temporal:
            self.long_attention = TemporalAttention(1, temporal)


def build_temporal_embedding(slots: int, dim: int) -> TemporalEmbedding | None:
    """Return the embedding of keys of ``dim`` channels; None without slots."""
    return TemporalEmbedding(slots, dim) if slots else None


class RMemAOT(AOT):
    """AOT+: recurrent blocks and a temporal embedding."""

    def __init__(self, config: ModelConfig) -> None:
        temporal = build_temporal_embedding(cast(RMemAOTStage, config.stages[0]).temporal_slots, config.dim)
        super().__init__(config, partial(RecurrentLSTTBlock, temporal=temporal))
        self.temporal = temporal
        if temporal:
            temporal.initialize()


class RMemDeAOT(DeAOT):
    """DeAOT with a temporal embedding."""

    def __init__(self, config: ModelConfig) -> None:
        temporal = build_temporal_embedding(cast(RMemDeAOTStage, config.stages[0]).temporal_slots, config.dim // 2)
        super().__init__(config, partial(TemporalGPMBlock, temporal=temporal))
        self.temporal = temporal
        if temporal:
            temporal.initialize()
