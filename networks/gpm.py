"""The GPM block of DeAOT: gated propagation in a visual and an identity branch (DeAOT, sections 4.1 to 4.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.schema import StageConfig
from aotlab.networks.attention import RelativePosition, global_attention, local_attention
from aotlab.networks.block import Block, BlockMemory, KeyValue, Size
from aotlab.networks.kernels.depthwise import DepthwiseConv2d
from aotlab.networks.kernels.products import Linear
from aotlab.networks.layers import initialise
from aotlab.networks.temporal import TemporalEmbedding

EXPANSION = 2
"""width of values and gates per branch, relative to the block"""


class GatedOutput(nn.Module):
    """What follows attention: gate, depthwise 5×5 convolution, projection back to both branches."""

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
        """``stride``: one token in so many, in row order, is read."""
        super().__init__(dim)
        wide = EXPANSION * dim
        self.stride = stride
        self.match = Linear(2 * dim, dim // 2)
        self.value1, self.value2 = Linear(dim, wide), Linear(dim, wide)
        self.gate1, self.gate2 = Linear(dim, wide), Linear(dim, wide)

    def propagate(self, visual: Tensor, label: Tensor, size: Size) -> Tensor:
        """Normed branches B×L×C each to B×L×2C."""
        match = self.match(torch.cat([visual, label], 2))  # B×L×C/2, query and key in one
        value = F.silu(torch.cat([self.value1(visual), self.value2(label)], 2))  # B×L×4C
        gate = F.silu(torch.cat([self.gate1(visual), self.gate2(label)], 2))  # B×L×4C
        key, value = match[:, :: self.stride], value[:, :: self.stride]
        return self(global_attention(match, key, value, 1), gate, size)


class TokenGroupNorm(nn.Module):
    """GroupNorm over tokens: one group per branch, over all tokens of a map."""

    def __init__(self, groups: int, dim: int) -> None:
        super().__init__()
        self.gn = nn.GroupNorm(groups, dim)

    def forward(self, x: Tensor) -> Tensor:
        """B×L×C to B×L×C."""
        return self.gn(x.unsqueeze(1).permute(0, 3, 1, 2)).squeeze(2).mT  # as a map B×C×1×L


class GPMBlock(Block):
    """One block. Tokens carry the visual branch and, behind the first block, the identity branch beside it."""

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
        self.position_key = nn.Conv2d(key, config.window**2, 1)
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
    ) -> tuple[Tensor, KeyValue]:
        """Propagate memory to the current frame; arguments as `Block.forward`.

        x: B×L×C in the first block, B×L×2C behind it. Returns B×L×2C and this frame's unlabelled memory.
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
            current = KeyValue(key, value)
        else:
            normed_label = self.id_norm1(label)
            gate = F.silu(torch.cat([gate, self.id_gate(normed_label)], 2))  # B×L×4C
            current = KeyValue(key, torch.cat([value, normed_label], 2))  # B×L×C/2, B×L×3C
        if memory is None:
            memory = self.memorize(current, identity)
        query, long_key = (key, memory.long.key) if temporal is None else temporal(key, memory.long.key)
        long = global_attention(query, long_key, memory.long.value, 1)  # B×L×4C
        weight, bias = self.position_key.weight.flatten(1), self.position_key.bias
        position = RelativePosition(weight[None], bias[None], None)  # type: ignore[index]
        short = local_attention(key, memory.short.key, memory.short.value, size=size, position=position)
        residual = self.long(long, gate, size) + self.short(short, gate, size)  # B×L×2C
        visual = visual + residual[..., :dim]
        label = residual[..., dim:] if self.first else label + residual[..., dim:]
        residual = self.self_attention.propagate(self.norm2(visual), self.id_norm2(label), size)
        visual = visual + self.drop_path(residual[..., :dim])
        return torch.cat([visual, label + self.drop_path(residual[..., dim:])], 2), current  # B×L×2C

    def memorize(self, current: KeyValue, identity: Tensor | None) -> BlockMemory:
        """Label this frame's memory: key and visual value stay, an identity value made of B×L×C joins them."""
        assert identity is not None
        wide = self.gate.out_features
        visual, normed_label = current.value[..., :wide], current.value[..., wide:]
        label = F.silu(self.id_value(torch.cat([normed_label, identity], 2)))  # B×L×2C
        memory = KeyValue(current.key, torch.cat([visual, label], 2))  # B×L×C/2, B×L×4C
        return BlockMemory(memory, memory)
