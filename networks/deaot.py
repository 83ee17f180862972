"""DeAOT: Decoupling Features in Hierarchical Propagation for Video Object Segmentation (Yang, Yang; NeurIPS 2022).

The tokens of AOT are split into a visual branch and an identity branch, which share one attention; heads and
feed-forward layers give way to gates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.schema import ModelConfig, StageConfig
from aotlab.networks.attention import Attention, LocalAttention, Size
from aotlab.networks.decoders import FPNDecoder
from aotlab.networks.identity_bank import IdentityBank
from aotlab.networks.layers import init_xavier, map_to_tokens, tokens_to_map
from aotlab.networks.model import (
    BlockMemory,
    Features,
    KeyValue,
    Memory,
    PropagatedFrame,
    VOSModel,
    batch_size,
)

EXPANSION = 2
"""width of values and gates per branch, relative to the block"""

AddTemporal = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""adds RMem's temporal embedding to queries and keys (see rmem.py)"""


class GatedOutput(nn.Module):
    """Gate, depthwise 5×5 convolution and projection of attended values back to both branches."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        wide = 2 * EXPANSION * dim
        self.conv = nn.Conv2d(wide, wide, 5, padding=2, groups=wide, bias=False)
        self.dropout = nn.Dropout2d(0.1)
        self.projection = nn.Linear(wide, 2 * dim)

    def forward(self, attended: Tensor, gate: Tensor, size: Size) -> Tensor:
        """B×L×4C twice to B×L×2C, visual branch first."""
        mixed = self.dropout(self.conv(tokens_to_map(attended * gate, size)))
        return self.projection(map_to_tokens(mixed))


class GatedSelfAttention(GatedOutput):
    """Gated propagation of a frame to itself, over both branches."""

    def __init__(self, dim: int, stride: int = 1) -> None:
        """``stride``: keys and values are subsampled by it, in row order."""
        super().__init__(dim)
        wide = EXPANSION * dim
        self.stride = stride
        self.match = nn.Linear(2 * dim, dim // 2)
        self.value1, self.value2 = nn.Linear(dim, wide), nn.Linear(dim, wide)
        self.gate1, self.gate2 = nn.Linear(dim, wide), nn.Linear(dim, wide)
        self.attention = Attention(heads=1)

    def forward(self, visual: Tensor, identity: Tensor, size: Size) -> Tensor:
        """Normed branches B×L×C each to B×L×2C."""
        match = self.match(torch.cat([visual, identity], 2))  # B×L×C/2, query and key
        value = F.silu(torch.cat([self.value1(visual), self.value2(identity)], 2))  # B×L×4C
        gate = F.silu(torch.cat([self.gate1(visual), self.gate2(identity)], 2))  # B×L×4C
        attended = self.attention(match, match[:, :: self.stride], value[:, :: self.stride])
        return super().forward(attended, gate, size)


class TokenGroupNorm(nn.Module):
    """GroupNorm over tokens: one group per branch, over all tokens of a map."""

    def __init__(self, groups: int, dim: int) -> None:
        super().__init__()
        self.gn = nn.GroupNorm(groups, dim)

    def forward(self, x: Tensor) -> Tensor:
        """B×L×C to B×L×C."""
        return self.gn(x.unsqueeze(1).permute(0, 3, 1, 2)).squeeze(2).mT  # as a map B×C×1×L


class GPMState(NamedTuple):
    """A frame in a GPM block before its identities are known."""

    key: Tensor
    """B×L×C/2, also the query"""
    value: Tensor
    """B×L×2C, of the visual branch"""
    identity: Tensor | None
    """B×L×C, normed identity branch; None in the model's first block"""


class GPMBlock(nn.Module):
    """Gated propagation module: long- and short-term propagation, then self-propagation.

    Tokens carry the visual branch and, after the first block, the identity branch beside it.
    """

    def __init__(self, dim: int, config: StageConfig, *, first: bool) -> None:
        """``first``: the model's first block, whose input has no identity branch."""
        super().__init__()
        wide, key = EXPANSION * dim, dim // 2
        self.dim, self.first = dim, first
        self.norm1, self.norm2, self.id_norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.key_value = nn.Linear(dim, key + wide)
        self.gate = nn.Linear(dim, wide)
        self.id_value = nn.Linear(dim if first else 2 * dim, wide)
        if not first:
            self.id_norm1, self.id_gate = nn.LayerNorm(dim), nn.Linear(dim, wide)
        self.long_attention = Attention(heads=1)
        self.short_attention = LocalAttention(key, 1, config.window, relative_value=False)
        self.long, self.short = GatedOutput(dim), GatedOutput(dim)
        self.self_attention = GatedSelfAttention(dim, config.self_stride)
        self.drop_path = StochasticDepth(config.drop_path, mode="row")
        init_xavier(self)

    def forward(
        self,
        x: Tensor,
        size: Size,
        memory: BlockMemory | None,
        identities: Tensor | None,
        add_temporal: AddTemporal | None = None,
    ) -> tuple[Tensor, GPMState]:
        """Propagate memory to the current frame.

        Args:
            x: tokens of the frame, B×L×C in the model's first block, B×L×2C after it.
            size: (H, W) of its map.
            memory: what the block reads; None on a reference frame, which reads itself.
            identities: B×L×C, the reference frame's identity embedding; None on all other frames.
            add_temporal: of a model with a temporal embedding (RMem).

        Returns:
            B×L×2C, and what `memorize` needs.
        """
        visual, identity = (
            x[..., : self.dim],
            x[..., self.dim :],
        )  # B×L×C each; no identity in the first block
        normed = self.norm1(visual)
        key, value = self.key_value(normed).split([self.dim // 2, EXPANSION * self.dim], 2)
        gate = self.gate(normed)  # B×L×2C
        if self.first:
            # the identity branch is empty and cannot gate itself: all of it passes
            gate = torch.cat([F.silu(gate), torch.ones_like(gate)], 2)  # B×L×4C
            state = GPMState(key, F.silu(value), None)
        else:
            normed = self.id_norm1(identity)
            gate = F.silu(torch.cat([gate, self.id_gate(normed)], 2))  # B×L×4C
            state = GPMState(key, F.silu(value), normed)
        long, short = self.memorize(state, identities) if memory is None else memory
        query, long_key = (key, long.key) if add_temporal is None else add_temporal(key, long.key)
        propagated = self.long(self.long_attention(query, long_key, long.value), gate, size) + self.short(
            self.short_attention(key, short.key, short.value, size), gate, size
        )  # B×L×2C
        visual = visual + propagated[..., : self.dim]
        added = propagated[..., self.dim :]
        identity = added if self.first else identity + added
        propagated = self.self_attention(self.norm2(visual), self.id_norm2(identity), size)
        visual = visual + self.drop_path(propagated[..., : self.dim])
        identity = identity + self.drop_path(propagated[..., self.dim :])
        return torch.cat([visual, identity], 2), state

    def memorize(self, state: GPMState, identities: Tensor | None) -> BlockMemory:
        """Return the frame's memory: key and visual value stay, an identity value of B×L×C is appended."""
        assert identities is not None
        identity = identities if state.identity is None else torch.cat([state.identity, identities], 2)
        value = torch.cat([state.value, F.silu(self.id_value(identity))], 2)  # B×L×4C
        memory = KeyValue(state.key, value)
        return BlockMemory(memory, memory)


class DeAOT(VOSModel):
    """Encoder, identity bank, GPM blocks, and an FPN decoder of the last block's output."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        stage, dim = config.stages[0], config.dim
        self.identity_bank = IdentityBank(config, dim, stage.stride, stage.identity_stride)
        self.identity_norm = nn.LayerNorm(dim)
        self.blocks = nn.ModuleList(GPMBlock(dim, stage, first=index == 0) for index in range(stage.depth))
        self.norms = nn.ModuleList([TokenGroupNorm(2, 2 * dim)])
        self.decoder = FPNDecoder(
            2 * dim, self.channels[:3], config.max_objects + 1, dim=dim, align_corners=config.align_corners
        )

    @property
    def heads(self) -> int:
        """1: gates do what heads do in AOT."""
        return 1

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Masks B×(m+1)×H×W to [B×L×C]."""
        return [self.identity_norm(self.identity_bank(masks))]

    def propagate(
        self, features: Features, memory: Memory | None = None, identities: Sequence[Tensor] | None = None
    ) -> PropagatedFrame:
        """Run the blocks on the frame's tokens; see `VOSModel.propagate`."""
        x = features.projected.expand(batch_size(memory, identities), -1, -1, -1)
        size = (x.shape[2], x.shape[3])
        states, tokens = [], map_to_tokens(x)
        for index, block in enumerate(self.blocks):
            tokens, state = block(tokens, size, memory and memory[0][index], identities and identities[0])
            states.append(state)
        return PropagatedFrame([[tokens_to_map(self.norms[0](tokens), size)]], [states])

    def memorize(self, propagated: PropagatedFrame, identities: Sequence[Tensor]) -> list[list[BlockMemory]]:
        """Return the frame's memory of each block; see `VOSModel.memorize`."""
        pairs = zip(self.blocks, propagated.states[0], strict=True)
        return [[block.memorize(state, identities[0]) for block, state in pairs]]  # type: ignore[operator]

    def decode(self, propagated: PropagatedFrame, features: Features) -> Tensor:
        """Return logits B×(M+1)×H/4×W/4."""
        return self.decoder(propagated.embeddings[0][0], features.f4, features.f8, features.f16)
