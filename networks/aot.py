"""AOT: Associating Objects with Transformers for Video Object Segmentation (Yang, Wei, Yang; NeurIPS 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.schema import ModelConfig, StageConfig
from aotlab.networks.attention import Attention, LocalAttention, Size
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


class LSTTState(NamedTuple):
    """A frame in an LSTT block before its identities are known."""

    key: Tensor
    """B×L×C, also the query"""
    tokens: Tensor
    """B×L×C, which become values once the identity embedding is added"""


class LSTTBlock(nn.Module):
    """Long Short-Term Transformer block: self-attention, long- and short-term attention, feed-forward (section 4.2)."""

    def __init__(self, dim: int, config: StageConfig) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.sine_position = config.sine_position
        self.self_attention = SelfAttention(dim, config.self_heads or config.heads, config.self_stride)
        self.query, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.long_attention = Attention(config.heads)
        self.long_projection = nn.Linear(dim, dim)
        self.short_attention: LocalAttention | None = None  # without one in an ablation of the paper
        if config.window:
            relative = config.relative_position
            self.short_attention = LocalAttention(
                dim, config.heads, config.window, relative_key=relative, relative_value=relative
            )
            self.short_projection = nn.Linear(dim, dim)
        self.feedforward = FeedForward(dim, config.feedforward)
        self.drop_path = StochasticDepth(config.drop_path, mode="row")
        init_xavier(self)

    def forward(
        self, x: Tensor, size: Size, memory: BlockMemory | None, identities: Tensor | None
    ) -> tuple[Tensor, LSTTState]:
        """Propagate memory to the current frame.

        Args:
            x: B×L×C tokens of the frame.
            size: (H, W) of its map.
            memory: what the block reads; None on a reference frame, which reads itself.
            identities: B×L×C, the reference frame's identity embedding; None on all other frames.

        Returns:
            B×L×C, and what `memorize` needs.
        """
        position = sine_position(size, x) if self.sine_position else None
        x = x + self.drop_path(self.self_attention(self.norm1(x), position))
        tokens = self.norm2(x)
        state = LSTTState(self.query(tokens), tokens)
        long, short = self.memorize(state, identities) if memory is None else memory
        x = x + self.long_projection(self.long_attention(state.key, long.key, long.value))  # eq. 5
        if self.short_attention is not None:
            x = x + self.short_projection(
                self.short_attention(state.key, short.key, short.value, size)
            )  # eq. 6
        return x + self.drop_path(self.feedforward(self.norm3(x), size)), state

    def memorize(self, state: LSTTState, identities: Tensor | None) -> BlockMemory:
        """Return the frame's memory: the key stays, the value carries the identity embedding B×L×C (eq. 3)."""
        assert identities is not None
        memory = KeyValue(state.key, self.value(state.tokens + identities))
        return BlockMemory(memory, memory)


class AOT(VOSModel):
    """Encoder, identity bank, LSTT blocks, and an FPN decoder of the frame's tokens and all blocks' outputs."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        stage, dim = config.stages[0], config.dim
        self.identity_bank = IdentityBank(config, dim, stage.stride, stage.identity_stride)
        self.blocks = nn.ModuleList(LSTTBlock(dim, stage) for _ in range(stage.depth))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(stage.depth))
        self.mask_token = nn.Parameter(torch.randn(1, 1, dim))  # unused; published checkpoints hold it
        inputs = (1 + stage.depth) * dim if config.decode_all_blocks else dim
        self.decoder = FPNDecoder(
            inputs, self.channels[:3], config.max_objects + 1, dim=dim, align_corners=config.align_corners
        )

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
            tokens, state = block(tokens, size, memory and memory[0][index], identities and identities[0])
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
