"""Models of restricted memory: AOT+ and DeAOT of RMem (Zhou et al.; CVPR 2024), with its temporal embedding.

Which frames stay in memory is the engine's decision (`aotlab.engine`); ERMU uses the models of AOT and DeAOT.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.schema import ModelConfig, StageConfig
from aotlab.networks.attention import Attention, Size
from aotlab.networks.deaot import AddTemporal, DeAOT
from aotlab.networks.decoders import FPNDecoder
from aotlab.networks.identity_bank import IdentityBank
from aotlab.networks.layers import FeedForward, SelfAttention, init_xavier, map_to_tokens, tokens_to_map
from aotlab.networks.model import (
    BlockMemory,
    Features,
    KeyValue,
    Memory,
    PropagatedFrame,
    VOSModel,
    batch_size,
)
from aotlab.networks.positions import sine_position


class TemporalEmbedding(nn.Module):
    """One vector is added to queries, and one of a few, by the age of its frame, to the keys of each memory frame."""

    def __init__(self, slots: int, dim: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(1, dim))
        self.memory = nn.Parameter(torch.empty(slots, dim))
        for parameter in self.parameters():
            nn.init.trunc_normal_(parameter, std=0.05)

    def forward(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Query B×L×C and keys B×(T·L)×C, oldest frame first, with their embeddings added."""
        frames = key.shape[1] // query.shape[1]
        added = self.memory[temporal_slots_by_age(frames, len(self.memory), key.device)]  # T×C
        key = key.unflatten(1, (frames, -1)) + added[:, None]  # B×T×L×C
        return query + self.query, key.flatten(1, 2)


def temporal_slots_by_age(frames: int, slots: int, device: torch.device | None = None) -> Tensor:
    """Return the slot of each frame, below ``slots``, oldest frame first.

    Each frame has its own while there are enough; then they are shared evenly, counted from the newest.
    """
    age = torch.arange(frames - 1, -1, -1, device=device)
    return slots - 1 - age * slots // frames if frames > slots else frames - 1 - age


class RecurrentState(NamedTuple):
    """A frame in a recurrent block before its identities are known."""

    key: Tensor
    """B×L×C, also the query"""
    tokens: Tensor
    """B×L×C, which become long-term values once the identity embedding is added"""
    short: Tensor
    """B×L×C, result of short-term attention, from which short-term keys and values are made"""


class RecurrentLSTTBlock(nn.Module):
    """LSTT block of AOT+, whose short-term memory is made of the result of short-term attention on the last frame."""

    def __init__(self, dim: int, config: StageConfig) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.self_attention = SelfAttention(dim, config.self_heads or config.heads, config.self_stride)
        self.query, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.short_key, self.short_value = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.short_norm = nn.LayerNorm(dim)
        self.idle_key = nn.Linear(dim, dim)  # unused; published checkpoints hold it
        self.attention = Attention(config.heads)
        self.long_projection, self.short_projection = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.feedforward = FeedForward(dim, config.feedforward)
        self.drop_path = StochasticDepth(config.drop_path, mode="row")
        init_xavier(self)

    def forward(
        self,
        x: Tensor,
        size: Size,
        memory: BlockMemory | None,
        identities: Tensor | None,
        add_temporal: AddTemporal | None = None,
    ) -> tuple[Tensor, RecurrentState]:
        """Propagate memory to the current frame; arguments as `aotlab.networks.deaot.GPMBlock.forward`.

        Short-term attention reads all tokens. A reference frame reads its own long-term memory as both.
        """
        x = x + self.drop_path(self.self_attention(self.norm1(x), sine_position(size, x)))
        tokens = self.norm2(x)
        query = self.query(tokens)
        if memory is None:
            reference = KeyValue(query, self.value(tokens + identities))
            memory = BlockMemory(reference, reference)
        long, short = memory
        long_query, key = (query, long.key) if add_temporal is None else add_temporal(query, long.key)
        added = self.long_projection(self.attention(long_query, key, long.value))
        key, value = self.short_norm(short.key + query), self.short_norm(short.value + tokens)
        state = RecurrentState(query, tokens, self.short_projection(self.attention(query, key, value)))
        x = x + added + state.short
        return x + self.drop_path(self.feedforward(self.norm3(x), size)), state

    def memorize(self, state: RecurrentState, identities: Tensor) -> BlockMemory:
        """Return the frame's memory: long-term of its tokens, short-term of short-term attention's result."""
        long = KeyValue(state.key, self.value(state.tokens + identities))
        short = KeyValue(self.short_key(state.short), self.short_value(state.short + identities))
        return BlockMemory(long, short)


class RMemAOT(VOSModel):
    """AOT+ with a temporal embedding: as AOT, with recurrent blocks."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        stage, dim = config.stages[0], config.dim
        self.identity_bank = IdentityBank(config, dim, stage.stride, stage.identity_stride)
        self.blocks = nn.ModuleList(RecurrentLSTTBlock(dim, stage) for _ in range(stage.depth))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(stage.depth))
        self.temporal = TemporalEmbedding(stage.temporal_slots, dim) if stage.temporal_slots else None
        inputs = (1 + stage.depth) * dim if config.decode_all_blocks else dim
        self.decoder = FPNDecoder(
            inputs, self.channels[:3], config.max_objects + 1, dim=dim, align_corners=config.align_corners
        )

    def add_temporal(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Add the temporal embedding, if the model has one."""
        return (query, key) if self.temporal is None else self.temporal(query, key)

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Masks B×(m+1)×H×W to [B×L×C]."""
        return [self.identity_bank(masks)]

    def propagate(
        self, features: Features, memory: Memory | None = None, identities: Sequence[Tensor] | None = None
    ) -> PropagatedFrame:
        """Run the blocks on the frame's tokens; see `VOSModel.propagate`."""
        x = features.projected.expand(batch_size(memory, identities), -1, -1, -1)
        size = (x.shape[2], x.shape[3])
        embeddings, states, tokens = [x], [], map_to_tokens(x)
        for index, (block, norm) in enumerate(zip(self.blocks, self.norms, strict=True)):
            read = memory and memory[0][index]
            tokens, state = block(tokens, size, read, identities and identities[0], self.add_temporal)
            embeddings.append(tokens_to_map(norm(tokens), size))
            states.append(state)
        return PropagatedFrame([embeddings], [states])

    def memorize(self, propagated: PropagatedFrame, identities: Sequence[Tensor]) -> list[list[BlockMemory]]:
        """Return the frame's memory of each block; see `VOSModel.memorize`."""
        pairs = zip(self.blocks, propagated.states[0], strict=True)
        return [[block.memorize(state, identities[0]) for block, state in pairs]]  # type: ignore[operator]

    def decode(self, propagated: PropagatedFrame, features: Features) -> Tensor:
        """Return logits B×(M+1)×H/4×W/4."""
        embeddings = propagated.embeddings[0]
        used = embeddings if self.config.decode_all_blocks else embeddings[-1:]
        return self.decoder(torch.cat(used, dim=1), features.f4, features.f8, features.f16)


class RMemDeAOT(DeAOT):
    """DeAOT with a temporal embedding."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.temporal = TemporalEmbedding(config.stages[0].temporal_slots, config.dim // 2)

    def add_temporal(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Add the temporal embedding."""
        return self.temporal(query, key)

    def propagate(
        self, features: Features, memory: Memory | None = None, identities: Sequence[Tensor] | None = None
    ) -> PropagatedFrame:
        """Run the blocks on the frame's tokens; see `VOSModel.propagate`."""
        x = features.projected.expand(batch_size(memory, identities), -1, -1, -1)
        size = (x.shape[2], x.shape[3])
        states, tokens = [], map_to_tokens(x)
        for index, block in enumerate(self.blocks):
            read = memory and memory[0][index]
            tokens, state = block(tokens, size, read, identities and identities[0], self.temporal)
            states.append(state)
        return PropagatedFrame([[tokens_to_map(self.norms[0](tokens), size)]], [states])
