"""AOST: Scalable Video Object Segmentation with Identification Mechanism (Yang et al.; TPAMI 2024).

Scalable LSTT: the decoder has an input layer per depth, so one set of weights runs with any number of blocks. In the
layer-wise ID-based attention of the paper, identities also scale keys, and each block projects the identity embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.methods import AOSTStage, ScaledKeysStage
from aotlab.configs.schema import ModelConfig
from aotlab.networks.attention import Attention, LocalAttention, MapSize, sine_position
from aotlab.networks.decoders import FPNDecoder
from aotlab.networks.identity_bank import IdentityBank
from aotlab.networks.layers import ConvGN, FeedForward, SelfAttention, init_xavier, map_to_tokens, tokens_to_map
from aotlab.networks.model import Block, BlockMemory, Features, KeyValue, Memory, PropagatedFrame, VOSModel


class AOSTState(NamedTuple):
    """A frame in an AOST block before its identities are known."""

    key: Tensor
    """B×L×C; identities later scale its heads."""
    value: Tensor
    """B×L×C, to which identities are added."""


class AOSTBlock(Block[Tensor, AOSTState]):
    """LSTT block whose identities scale each head's keys by 1 + tanh of a gain, and are added to the values."""

    def __init__(self, dim: int, config: ScaledKeysStage) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.self_attention = SelfAttention(dim, config.self_heads or config.heads, config.self_stride)
        self.key_value = nn.Linear(dim, 2 * dim)
        # output: one gain per head, then C channels for values
        self.id_key_value = nn.Linear(dim, config.heads + dim)
        self.long_attention, self.long_projection = Attention(config.heads), nn.Linear(dim, dim)
        self.short_attention = LocalAttention(dim, config.heads, config.window)
        self.short_projection = nn.Linear(dim, dim)
        self.feedforward = FeedForward(dim, config.feedforward)
        self.drop_path = StochasticDepth(config.drop_path, mode="row")
        init_xavier(self)

    def forward(
        self, x: Tensor, size: MapSize, memory: BlockMemory | None = None, id_embedding: Tensor | None = None
    ) -> tuple[Tensor, AOSTState]:
        """Map tokens B×L×C to tokens of the same shape and the frame's state; see `Block`."""
        x = x + self.drop_path(self.self_attention(self.norm1(x), sine_position(size, x)))
        key, value = self.key_value(self.norm2(x)).chunk(2, dim=2)
        query, state = key, AOSTState(key, value)
        long, short, _ = memory or self.reference_memory(state, id_embedding)
        x = x + self.long_projection(self.long_attention(query, long.key, long.value))
        x = x + self.short_projection(self.short_attention(query, short.key, short.value, size))
        return x + self.drop_path(self.feedforward(self.norm3(x), size)), state

    def memorize(self, state: AOSTState, id_embedding: Tensor) -> BlockMemory:
        """Return the frame's memory: the identity embedding B×L×C scales keys and is added to values."""
        gain, id_value = self.id_key_value(id_embedding).split([self.heads, state.value.shape[2]], 2)
        key = state.key.unflatten(2, (self.heads, -1)) * (1 + gain.tanh()).unsqueeze(3)  # B×L×heads×c
        memory = KeyValue(key.flatten(2), state.value + id_value)
        return BlockMemory(memory, memory)


class AOST(VOSModel):
    """Encoder, identity bank, scalable blocks, and an FPN decoder with an input layer per depth.

    The first ``depth`` blocks may be used. With ``shared`` one block is applied several times, each time with its own
    memory, and only the last output is decoded; otherwise the frame's tokens and the outputs of all blocks are.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        dim, stage = config.dim, cast(AOSTStage, config.stages[0])
        self.shared = stage.shared
        self.identity_bank = IdentityBank(config.bank_channels, dim, align_corners=config.align_corners)
        self.blocks = nn.ModuleList(AOSTBlock(dim, stage) for _ in range(1 if self.shared else stage.depth))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in self.blocks)
        in_channels = [dim if self.shared else (1 + depth) * dim for depth in range(1, stage.depth + 1)]
        self.conv_in = nn.ModuleList(ConvGN(channels, dim, 1) for channels in in_channels)
        self.decoder = FPNDecoder(
            self.encoder.channels, 1 + config.max_objects, config.dim, align_corners=config.align_corners
        )
        init_xavier(self.conv_in, self.decoder)
        self.identity_norm = nn.LayerNorm(dim)

    @property
    def stage_blocks(self) -> list[list[Block]]:
        """Block of every depth in use, in one stage."""
        depth = self.config.depths[0]
        blocks = [self.blocks[0]] * depth if self.shared else self.blocks[:depth]
        return [cast(list[Block], list(blocks))]

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Return the normalized identity embedding of masks."""
        return [self.identity_norm(self.identity_bank(masks))]

    def propagate(
        self, features: Features, memory: Memory | None = None, id_embeddings: Sequence[Tensor] | None = None
    ) -> PropagatedFrame:
        """Run the blocks; embeddings are B×(1+depth)·C×h×w, or B×C×h×w of a shared block.

        The norm of a shared block is applied to the last output only, as in the published code. Hence training decodes
        shallower depths without it, but tracking at such a depth uses it.
        """
        x = features.projected
        size = (x.shape[2], x.shape[3])
        outputs, states = self.run_blocks(0, map_to_tokens(x), size, memory, id_embeddings)
        if self.shared:
            outputs[-1] = self.norms[0](outputs[-1])
        else:  # fewer outputs than norms if fewer blocks are used
            outputs = [norm(output) for norm, output in zip(self.norms, outputs, strict=False)]
        maps = [x, *(tokens_to_map(output, size) for output in outputs)]
        return PropagatedFrame(self._join(maps), [states], [size], maps)

    def _join(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the embeddings of the frame's map and one or more outputs."""
        return maps[-1] if self.shared else torch.cat(list(maps), dim=1)

    def decode(self, propagated: PropagatedFrame, features: Features) -> Tensor:
        """Return logits B×(1+M)×H/4×W/4."""
        conv_in = self.conv_in[self.config.depths[0] - 1]
        return self.decoder(F.relu(conv_in(propagated.embeddings)), features)

    def decode_depths(self, propagated: PropagatedFrame, features: Features) -> list[Tensor]:
        """Return the logits B×(1+M)×H/4×W/4 at each depth below the one in use."""
        logits = []
        for depth in range(1, self.config.depths[0]):
            embeddings = self._join(propagated.maps[: 1 + depth])
            logits.append(self.at_depth(depth).decode(propagated._replace(embeddings=embeddings), features))
        return logits
