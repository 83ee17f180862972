"""DeAOT: Decoupling Features in Hierarchical Propagation for Video Object Segmentation (Yang, Yang; NeurIPS 2022).

DeAOT adds an identity branch to AOT's tokens, the visual branch; both share one attention. Gated propagation replaces
heads and feed-forward layers:

    GP(U, Q, K, V) = DW(σ(U) ⊙ Att(Q, K, V)) W

with a gate U, a depthwise 5×5 convolution DW and a projection W; σ is SiLU, also applied to values. In `GPMBlock`, U is
`gate` and `id_gate`, Q and K are the first C/2 channels of `key_value`, V is the rest and `id_value`; DW and W are in
`GatedOutput`. As published, there is no sine position embedding. A branch has C channels, its values and gates 2C; both
branches share keys of C/2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.methods import DeAOTStage
from aotlab.configs.schema import ModelConfig
from aotlab.networks.attention import Attention, LocalAttention, MapSize
from aotlab.networks.decoders import FPNDecoder
from aotlab.networks.identity_bank import IdentityBank
from aotlab.networks.layers import ConvGN, init_xavier, map_to_tokens, tokens_to_map
from aotlab.networks.model import Block, BlockMemory, Features, KeyValue, Memory, PropagatedFrame, VOSModel


class GatedOutput(nn.Module):
    """Gated propagation after its attention: gate, depthwise convolution and projection back to both branches."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        values_dim, branches_dim = 4 * dim, 2 * dim  # of both branches
        self.conv = nn.Conv2d(values_dim, values_dim, 5, padding=2, groups=values_dim, bias=False)
        self.dropout = nn.Dropout2d(0.1)
        self.projection = nn.Linear(values_dim, branches_dim)

    def forward(self, attended: Tensor, gate: Tensor, size: MapSize) -> Tensor:
        """Map attended values and gate, B×L×4C each, to B×L×2C, visual branch first."""
        gated = self.dropout(self.conv(tokens_to_map(attended * gate, size)))
        return self.projection(map_to_tokens(gated))


class GatedSelfAttention(nn.Module):
    """Gated propagation of a frame to itself, over both branches."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        key_dim, value_dim = dim // 2, 2 * dim
        self.output = GatedOutput(dim)
        self.query_key = nn.Linear(2 * dim, key_dim)
        self.visual_value, self.id_value = nn.Linear(dim, value_dim), nn.Linear(dim, value_dim)
        self.visual_gate, self.id_gate = nn.Linear(dim, value_dim), nn.Linear(dim, value_dim)
        self.attention = Attention(heads=1)

    def forward(self, visual: Tensor, id_tokens: Tensor, size: MapSize) -> Tensor:
        """Map normalized branches, B×L×C each, to B×L×2C."""
        query = key = self.query_key(torch.cat([visual, id_tokens], 2))  # B×L×C/2
        value = F.silu(torch.cat([self.visual_value(visual), self.id_value(id_tokens)], 2))  # B×L×4C
        gate = F.silu(torch.cat([self.visual_gate(visual), self.id_gate(id_tokens)], 2))  # B×L×4C
        return self.output(self.attention(query, key, value), gate, size)


class GPMState(NamedTuple):
    """A frame in a GPM block before its identities are known."""

    key: Tensor
    """B×L×C/2."""
    value: Tensor
    """B×L×2C, of the visual branch."""
    id_tokens: Tensor | None
    """B×L×C, normalized identity branch; None in the model's first block."""


class GPMBlock(Block[tuple[Tensor, Tensor | None], GPMState]):
    """Gated propagation module: long- and short-term propagation, then self-propagation."""

    def __init__(self, dim: int, config: DeAOTStage, *, first: bool) -> None:
        """``first``: whether it is the model's first block, whose input has no identity branch."""
        super().__init__()
        self.key_dim, self.value_dim = dim // 2, 2 * dim
        self.norm1, self.norm2, self.id_norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.key_value = nn.Linear(dim, self.key_dim + self.value_dim)
        self.gate = nn.Linear(dim, self.value_dim)
        self.id_value = nn.Linear(dim if first else 2 * dim, self.value_dim)
        if not first:
            self.id_norm1, self.id_gate = nn.LayerNorm(dim), nn.Linear(dim, self.value_dim)
        self.long_attention = Attention(heads=1)
        self.short_attention = LocalAttention(self.key_dim, 1, config.window, relative_value=False)
        self.long_output, self.short_output = GatedOutput(dim), GatedOutput(dim)
        self.self_attention = GatedSelfAttention(dim)
        self.drop_path = StochasticDepth(config.drop_path, mode="row")
        init_xavier(self)

    def forward(
        self,
        x: tuple[Tensor, Tensor | None],
        size: MapSize,
        memory: BlockMemory | None = None,
        id_embedding: Tensor | None = None,
    ) -> tuple[tuple[Tensor, Tensor], GPMState]:
        """Map visual and identity tokens, B×L×C each, to tokens of the same shape and the frame's state; see `Block`.

        The input of the first block has no identity tokens.
        """
        visual, id_tokens = x
        normed = self.norm1(visual)
        key, value = self.key_value(normed).split([self.key_dim, self.value_dim], 2)
        query = key  # queries and keys share a projection
        normed_id = None if id_tokens is None else self.id_norm1(id_tokens)
        visual_gate = F.silu(self.gate(normed))  # B×L×2C
        # the first block has no identity branch; the published code gates it with ones
        id_gate = torch.ones_like(visual_gate) if normed_id is None else F.silu(self.id_gate(normed_id))
        gate = torch.cat([visual_gate, id_gate], 2)  # B×L×4C
        state = GPMState(key, F.silu(value), normed_id)
        long, short, _ = memory or self.reference_memory(state, id_embedding)
        long_values = self.long_attention(query, long.key, long.value)  # B×L×4C
        long_output = self.long_output(long_values, gate, size)  # B×L×2C
        short_values = self.short_attention(query, short.key, short.value, size)
        short_output = self.short_output(short_values, gate, size)  # B×L×2C
        visual_update, id_update = (long_output + short_output).chunk(2, 2)
        visual = visual + visual_update
        id_tokens = id_update if id_tokens is None else id_tokens + id_update
        self_output = self.self_attention(self.norm2(visual), self.id_norm2(id_tokens), size)
        visual_update, id_update = self_output.chunk(2, 2)
        return (visual + self.drop_path(visual_update), id_tokens + self.drop_path(id_update)), state

    def memorize(self, state: GPMState, id_embedding: Tensor) -> BlockMemory:
        """Return the frame's memory: its key, and its visual value with an identity value B×L×2C."""
        id_input = id_embedding if state.id_tokens is None else torch.cat([state.id_tokens, id_embedding], 2)
        value = torch.cat([state.value, F.silu(self.id_value(id_input))], 2)  # B×L×4C
        memory = KeyValue(state.key, value)
        return BlockMemory(memory, memory)


class DeAOT(VOSModel):
    """Encoder, identity bank, GPM blocks, and an FPN decoder of the last block's output."""

    def __init__(self, config: ModelConfig, block_class: Callable[..., GPMBlock] = GPMBlock) -> None:
        """``block_class``: called with the arguments of `GPMBlock` for each block."""
        super().__init__(config)
        stage, dim = config.stages[0], config.dim
        self.identity_bank = IdentityBank(config.bank_channels, dim, align_corners=config.align_corners)
        self.identity_norm = nn.LayerNorm(dim)
        self.blocks = nn.ModuleList(block_class(dim, stage, first=index == 0) for index in range(stage.depth))
        self.norm = nn.GroupNorm(2, 2 * dim)  # a group per branch
        self.conv_in = ConvGN(2 * dim, dim, 1)
        self.decoder = FPNDecoder(
            self.encoder.channels, 1 + config.max_objects, config.dim, align_corners=config.align_corners
        )
        init_xavier(self.conv_in, self.decoder)

    @property
    def stage_blocks(self) -> list[list[Block]]:
        """All blocks, in one stage."""
        return [cast(list[Block], list(self.blocks))]

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Return the normalized identity embedding of masks."""
        return [self.identity_norm(self.identity_bank(masks))]

    def propagate(
        self, features: Features, memory: Memory | None = None, id_embeddings: Sequence[Tensor] | None = None
    ) -> PropagatedFrame:
        """Run the blocks; embeddings are the last output, B×2C×h×w, visual branch first."""
        x = features.projected
        size = (x.shape[2], x.shape[3])
        tokens = map_to_tokens(x), None
        outputs, states = self.run_blocks(0, tokens, size, memory, id_embeddings)
        embeddings = self.norm(merge_branches(outputs[-1], size))
        return PropagatedFrame(embeddings, [states], [size])

    def decode(self, propagated: PropagatedFrame, features: Features) -> Tensor:
        """Return logits B×(1+M)×H/4×W/4."""
        return self.decoder(F.relu(self.conv_in(propagated.embeddings)), features)


def merge_branches(branches: tuple[Tensor, Tensor], size: MapSize) -> Tensor:
    """Merge both branches, B×L×C each, into a map B×2C×h×w, visual branch first."""
    return tokens_to_map(torch.cat(branches, 2), size)
