"""AOT: Associating Objects with Transformers for Video Object Segmentation (Yang, Wei, Yang; NeurIPS 2021).

A block on the tokens x of a frame, without projections and drop paths; K and V are memory of earlier frames:

    x = x + self_attention(norm1(x))
    tokens = norm2(x)
    x = x + long_attention(query(tokens), K_long, V_long) + short_attention(query(tokens), K_short, V_short)
    x = x + feedforward(norm3(x))

Once the frame has masks, and so an identity embedding E, it becomes memory: K = query(tokens), V = value(tokens + E).
Queries and keys have one projection.

The paper's attentions by name: Att is `attention.Attention`, AttID adds the identity embedding to the values
(`LSTTBlock.memorize`), AttLT and AttST are long- and short-term attention, both of which read AttID's values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.methods import AOTStage
from aotlab.configs.schema import ModelConfig
from aotlab.networks.attention import Attention, LocalAttention, MapSize, sine_position
from aotlab.networks.decoders import FPNDecoder
from aotlab.networks.identity_bank import IdentityBank
from aotlab.networks.layers import ConvGN, FeedForward, SelfAttention, init_xavier, map_to_tokens, tokens_to_map
from aotlab.networks.model import Block, BlockMemory, Features, KeyValue, Memory, PropagatedFrame, VOSModel


class LSTTState(NamedTuple):
    """A frame in an LSTT block before its identities are known."""

    key: Tensor
    """B×L×C."""
    tokens: Tensor
    """B×L×C, which become values once the identity embedding is added."""


class LSTTBlock(Block[Tensor, LSTTState]):
    """Long Short-Term Transformer block: self-attention, long- and short-term attention, feed-forward (section 4.2)."""

    def __init__(self, dim: int, config: AOTStage) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        # the paper's ablations (table 3) turn off positions here and short-term attention below
        self.add_position = config.sine_position
        self.self_attention = SelfAttention(dim, config.heads)
        self.query = nn.Linear(dim, dim)  # shared by queries and keys, W^K of the paper
        self.value = nn.Linear(dim, dim)  # W^V
        self.long_attention = Attention(config.heads)
        self.long_projection = nn.Linear(dim, dim)
        self.short_attention: LocalAttention | None = None
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
        self, x: Tensor, size: MapSize, memory: BlockMemory | None = None, id_embedding: Tensor | None = None
    ) -> tuple[Tensor, LSTTState]:
        """Map tokens B×L×C to tokens of the same shape and the frame's state; see `Block`."""
        position = sine_position(size, x) if self.add_position else None
        x = x + self.drop_path(self.self_attention(self.norm1(x), position))
        tokens = self.norm2(x)
        query = key = self.query(tokens)
        state = LSTTState(key, tokens)
        long, short, _ = memory or self.reference_memory(state, id_embedding)
        # no drop path on AttLT and AttST, as in the authors' code (DROPPATH_LST=False)
        x = x + self.long_projection(self.long_attention(query, long.key, long.value))
        if self.short_attention is not None:
            x = x + self.short_projection(self.short_attention(query, short.key, short.value, size))
        return x + self.drop_path(self.feedforward(self.norm3(x), size)), state

    def memorize(self, state: LSTTState, id_embedding: Tensor) -> BlockMemory:
        """Return the frame's memory: its key, and a value with the identity embedding B×L×C.

        The paper's AttID has the value X·W^V + E; the published code computes (X + E)·W^V, as here.
        """
        memory = KeyValue(state.key, self.value(state.tokens + id_embedding))
        return BlockMemory(memory, memory)


class AOT(VOSModel):
    """Encoder, identity bank, LSTT blocks, and an FPN decoder of the frame's tokens and all blocks' outputs."""

    def __init__(self, config: ModelConfig, block_class: Callable[[int, Any], Block] = LSTTBlock) -> None:
        """``block_class``: called with the width and the settings of each block."""
        super().__init__(config)
        dim, stage = config.dim, config.stages[0]
        self.identity_bank = IdentityBank(config.bank_channels, dim, align_corners=config.align_corners)
        self.blocks = nn.ModuleList(block_class(dim, stage) for _ in range(stage.depth))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in self.blocks)
        self.conv_in = ConvGN((1 + stage.depth) * dim, dim, 1)
        self.decoder = FPNDecoder(
            self.encoder.channels, 1 + config.max_objects, config.dim, align_corners=config.align_corners
        )
        init_xavier(self.conv_in, self.decoder)

    @property
    def stage_blocks(self) -> list[list[Block]]:
        """All blocks, in one stage."""
        return [cast(list[Block], list(self.blocks))]

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Return the identity embedding of masks."""
        return [self.identity_bank(masks)]

    def propagate(
        self, features: Features, memory: Memory | None = None, id_embeddings: Sequence[Tensor] | None = None
    ) -> PropagatedFrame:
        """Run the blocks; embeddings are the frame's map and those of all outputs, B×(1+depth)·C×h×w."""
        x = features.projected
        size = (x.shape[2], x.shape[3])
        outputs, states = self.run_blocks(0, map_to_tokens(x), size, memory, id_embeddings)
        maps = [tokens_to_map(norm(output), size) for norm, output in zip(self.norms, outputs, strict=True)]
        return PropagatedFrame(torch.cat([x, *maps], dim=1), [states], [size])

    def decode(self, propagated: PropagatedFrame, features: Features) -> Tensor:
        """Return logits B×(1+M)×H/4×W/4."""
        return self.decoder(F.relu(self.conv_in(propagated.embeddings)), features)
