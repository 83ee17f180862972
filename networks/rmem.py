"""RMem: Restricted Memory Banks Improve Video Object Segmentation (Zhou, Pang, Wang; CVPR 2024).

AOT+, an AOT whose short-term attention is recurrent, and DeAOT, both with a temporal embedding. ERMU has the same
models. Policies decide which frames stay in memory (`aotlab.engine.memory.policies`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.schema import ModelConfig, StageConfig
from aotlab.networks.attention import Attention, Size, sine_position
from aotlab.networks.deaot import DeAOT, GPMBlock
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

    def __init__(self, dim: int, config: StageConfig) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.self_attention = SelfAttention(dim, config.heads)
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
        id_embedding: Tensor | None,
        add_temporal: AddTemporal,
    ) -> tuple[Tensor, RecurrentState]:
        """Propagate memory to the current frame; arguments as `aotlab.networks.aot.LSTTBlock.forward`.

        Short-term attention reads all tokens. A reference frame reads its own long-term memory as both.

        Args:
            add_temporal: `RMemAOT.add_temporal`.
        """
        x = x + self.drop_path(self.self_attention(self.norm1(x), sine_position(size, x)))
        tokens = self.norm2(x)
        query = self.query(tokens)  # also the key, as in AOT
        if memory is None:
            reference = KeyValue(query, self.value(tokens + id_embedding))
            memory = BlockMemory(reference, reference)
        long, short = memory
        long_query, long_key = add_temporal(query, long.key)
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


class RMemAOT(VOSModel):
    """AOT+: as AOT, with recurrent blocks and, if the config has slots, a temporal embedding."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        stage, dim = config.stages[0], config.dim
        self.identity_bank = IdentityBank(config.bank_planes, dim, align_corners=config.align_corners)
        self.blocks = nn.ModuleList(RecurrentLSTTBlock(dim, stage) for _ in range(stage.depth))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(stage.depth))
        self.temporal = TemporalEmbedding(stage.temporal_slots, dim) if stage.temporal_slots else None
        self.decoder = FPNDecoder(
            (1 + stage.depth) * dim,
            self.channels[:3],
            1 + config.max_objects,
            dim=dim,
            align_corners=config.align_corners,
        )

    def add_temporal(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Add the temporal embedding, if the model has one."""
        return (query, key) if self.temporal is None else self.temporal(query, key)

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Masks B×(m+1)×H×W to the identity embedding [B×L×C]."""
        return [self.identity_bank(masks)]

    def propagate(
        self, features: Features, memory: Memory | None = None, id_embeddings: Sequence[Tensor] | None = None
    ) -> PropagatedFrame:
        """Run the blocks on the frame's tokens; see `VOSModel.propagate`."""
        # encoded once, repeated for every group of objects
        x = features.projected.expand(batch_size(memory, id_embeddings), -1, -1, -1)
        size = (x.shape[2], x.shape[3])
        # AOT+ has one stage
        block_memories = [None] * len(self.blocks) if memory is None else memory[0]
        id_embedding = None if id_embeddings is None else id_embeddings[0]
        tokens = map_to_tokens(x)
        embeddings, states = [x], []
        for block, norm, block_memory in zip(self.blocks, self.norms, block_memories, strict=True):
            tokens, state = block(tokens, size, block_memory, id_embedding, self.add_temporal)
            embeddings.append(tokens_to_map(norm(tokens), size))
            states.append(state)
        return PropagatedFrame([embeddings], [states])

    def memorize(
        self, propagated: PropagatedFrame, id_embeddings: Sequence[Tensor]
    ) -> list[list[BlockMemory]]:
        """Return the frame's memory of each block; see `VOSModel.memorize`."""
        pairs = zip(self.blocks, propagated.states[0], strict=True)
        return [[block.memorize(state, id_embeddings[0]) for block, state in pairs]]  # type: ignore[operator]

    def decode(self, propagated: PropagatedFrame, features: Features) -> Tensor:
        """Return logits B×(1+M)×H/4×W/4."""
        embeddings = torch.cat(propagated.embeddings[0], dim=1)
        return self.decoder(embeddings, features.f4, features.f8, features.f16)


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


class RMemDeAOT(DeAOT):
    """DeAOT with a temporal embedding."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.temporal = TemporalEmbedding(config.stages[0].temporal_slots, config.dim // 2)

    def build_block(self, dim: int, stage: StageConfig, first: bool) -> GPMBlock:
        """Return a block that adds the temporal embedding."""
        return TemporalGPMBlock(dim, stage, first=first, add_temporal=self.add_temporal)

    def add_temporal(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Add the temporal embedding."""
        return self.temporal(query, key)
