"""The GPM block of DeAOT: gated propagation in a visual and an identity branch (DeAOT, sections 4.1 to 4.3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.schema import StageConfig
from aotlab.networks.attention import global_attention, local_attention
from aotlab.networks.block import Block, BlockMemory, KeyValue, TemporalEmbedding
from aotlab.networks.layers import initialise
from aotlab.networks.positions import Size, position_key, relative_position
from aotlab.networks.primitives import DepthwiseConv2d, Linear

EXPANSION = 2
"""width of values and gates per branch, relative to the block"""


class GatedOutput(nn.Module):
    """Gate, depthwise 5×5 convolution, and projection of attention's result back to both branches."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        wide = 2 * EXPANSION * dim
        self.conv = DepthwiseConv2d(wide, 5)
        self.dropout = nn.Dropout2d(0.1)
        self.projection = Linear(wide, 2 * dim)

    def forward(self, attended: Tensor, gate: Tensor, size: Size) -> Tensor:
        """B×L×4C twice to B×L×2C, visual branch first."""
        gated = (attended * gate).unflatten(1, size).permute(0, 3, 1, 2)  # B×4C×H×W
        mixed = self.dropout(self.conv(gated))
        return self.projection(mixed.permute(0, 2, 3, 1).flatten(1, 2))


class GatedSelfAttention(GatedOutput):
    """Gated propagation of a frame to itself, over both branches."""

    def __init__(self, dim: int, stride: int = 1) -> None:
        """``stride``: only every so many-th token, in row order, is read."""
        super().__init__(dim)
        wide = EXPANSION * dim
        self.stride = stride
        self.match = Linear(2 * dim, dim // 2)
        self.value1, self.value2 = Linear(dim, wide), Linear(dim, wide)
        self.gate1, self.gate2 = Linear(dim, wide), Linear(dim, wide)

    def forward(self, visual: Tensor, label: Tensor, size: Size) -> Tensor:
        """Normed branches B×L×C each to B×L×2C."""
        match = self.match(torch.cat([visual, label], 2))  # B×L×C/2, query and key in one
        value = F.silu(torch.cat([self.value1(visual), self.value2(label)], 2))  # B×L×4C
        gate = F.silu(torch.cat([self.gate1(visual), self.gate2(label)], 2))  # B×L×4C
        key, value = match[:, :: self.stride], value[:, :: self.stride]
        return super().forward(global_attention(match, key, value, 1), gate, size)


class TokenGroupNorm(nn.Module):
    """GroupNorm over tokens: one group per branch, over all tokens of a map."""

    def __init__(self, groups: int, dim: int) -> None:
        super().__init__()
        self.gn = nn.GroupNorm(groups, dim)

    def forward(self, x: Tensor) -> Tensor:
        """B×L×C to B×L×C."""
        return self.gn(x.unsqueeze(1).permute(0, 3, 1, 2)).squeeze(2).mT  # as a map B×C×1×L


class Branches(NamedTuple):
    """A frame in a GPM block before identities label it."""

    key: Tensor
    """B×L×C/2"""
    value: Tensor
    """B×L×2C, of the visual branch"""
    normed_label: Tensor | None
    """B×L×C, the identity branch; None in the model's first block"""


class GPMBlock(Block):
    """One block. Tokens carry the visual branch and, after the first block, the identity branch beside it."""

    unlabelled = Branches
    branches = 2

    def __init__(self, dim: int, config: StageConfig, first: bool) -> None:
        """``first``: whether it is the model's first block, which has no identity branch to read."""
        super().__init__(dim, config, first)
        wide, key = EXPANSION * dim, dim // 2
        self.first = first
        self.norm1, self.norm2, self.id_norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.key_value = Linear(dim, key + wide)
        self.gate = Linear(dim, wide)
        self.id_value = Linear(dim if self.first else 2 * dim, wide)
        if not self.first:
            self.id_norm1, self.id_gate = nn.LayerNorm(dim), Linear(dim, wide)
        self.long, self.short = GatedOutput(dim), GatedOutput(dim)
        self.position_key = position_key(key, 1, config.window)
        self.self_attention = GatedSelfAttention(dim, config.self_stride)
        self.drop_path = StochasticDepth(config.drop_path, mode="row")
        initialise(self)

    @staticmethod
    def key_dim(dim: int) -> int:
        """Half the width."""
        return dim // 2

    @staticmethod
    def output_norms(dim: int, depth: int, last: bool) -> list[nn.Module]:
        """One for what is decoded; finer stages get every block's output as it is."""
        return [TokenGroupNorm(2, 2 * dim)] if last else [nn.Identity() for _ in range(depth)]

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
    ) -> tuple[Tensor, Branches]:
        """Propagate memory to the current frame; arguments as `Block.forward`.

        x: B×L×C in the first block, B×L×2C after it. Returns B×L×2C and this frame's unlabelled memory.
        """
        dim = self.norm1.normalized_shape[0]
        visual, label = x[..., :dim], x[..., dim:]  # B×L×C each; no label in the first block
        normed = self.norm1(visual)
        key, value = self.key_value(normed).split([dim // 2, EXPANSION * dim], 2)  # B×L×C/2, B×L×2C
        value = F.silu(value)
        gate = self.gate(normed)  # B×L×2C
        if self.first:
            # Without a label there is nothing to gate the identity branch by, so all of it passes.
            gate = torch.cat([F.silu(gate), torch.ones_like(gate)], 2)  # B×L×4C
            current = Branches(key, value, None)
        else:
            normed_label = self.id_norm1(label)
            gate = F.silu(torch.cat([gate, self.id_gate(normed_label)], 2))  # B×L×4C
            current = Branches(key, value, normed_label)
        if memory is None:
            memory = self.memorize(current, identity)
        query, long_key = (key, memory.long.key) if temporal is None else temporal(key, memory.long.key)
        long = global_attention(query, long_key, memory.long.value, 1)  # B×L×4C
        position = relative_position(self.position_key)
        short = local_attention(key, memory.short.key, memory.short.value, size, position)
        residual = self.long(long, gate, size) + self.short(short, gate, size)  # B×L×2C
        visual = visual + residual[..., :dim]
        label = residual[..., dim:] if self.first else label + residual[..., dim:]
        residual = self.self_attention(self.norm2(visual), self.id_norm2(label), size)
        visual = visual + self.drop_path(residual[..., :dim])
        return torch.cat([visual, label + self.drop_path(residual[..., dim:])], 2), current  # B×L×2C

    def memorize(self, current: Branches, identity: Tensor | None) -> BlockMemory:
        """Label this frame's memory: key and visual value stay, an identity value made of B×L×C is appended."""
        assert identity is not None
        label = current.normed_label
        labelled = identity if label is None else torch.cat([label, identity], 2)
        value = torch.cat([current.value, F.silu(self.id_value(labelled))], 2)  # B×L×4C
        memory = KeyValue(current.key, value)
        return BlockMemory(memory, memory)
