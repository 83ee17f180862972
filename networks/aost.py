"""The blocks of AOST, where identities also weigh keys (Yang et al. 2024), and of multi-scale AOT."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from aotlab.configs.schema import StageConfig
from aotlab.networks.block import BlockMemory, KeyValue, Unlabelled
from aotlab.networks.lstt import LSTTBlock
from aotlab.networks.primitives import Linear


class AOSTBlock(LSTTBlock):
    """One block. An identity embedding scales each head's keys by 1 + tanh of a gain, and is added to the values."""

    unlabelled = KeyValue
    has_mask_token = False

    def make_projections(self, dim: int) -> None:
        """Make the layers of queries and values, and of identities."""
        self.key_value, self.id_key_value = Linear(dim, 2 * dim), Linear(dim, self.heads + dim)

    @staticmethod
    def identity_norm(dim: int) -> nn.Module:
        """A LayerNorm."""
        return nn.LayerNorm(dim)

    def project(self, normed: Tensor) -> KeyValue:
        """Return key and value B×L×C each, before identities."""
        return KeyValue(*self.key_value(normed).chunk(2, dim=2))

    def memorize(self, current: Any, identity: Tensor | None) -> BlockMemory:
        """Label this frame's memory: the identity embedding B×L×C scales the key and is added to the value."""
        assert identity is not None
        gain, value = self.id_key_value(identity).tensor_split([self.heads], dim=2)  # B×L×heads, B×L×C
        key = current.key.unflatten(2, (self.heads, -1)) * (1 + gain.tanh()).unsqueeze(3)
        memory = KeyValue(key.flatten(2), current.value + value)
        return BlockMemory(memory, memory)


class PyramidBlock(AOSTBlock):
    """The block of multi-scale AOT: that of AOST, with every output normed."""

    def __init__(self, dim: int, config: StageConfig, first: bool) -> None:
        super().__init__(dim, config, first)
        self.output_norm = nn.LayerNorm(dim)

    @staticmethod
    def output_norms(dim: int, depth: int, last: bool) -> list[nn.Module]:
        """No norms: outputs are normed already."""
        return [nn.Identity() for _ in range(depth)]

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Unlabelled]:
        """Run `LSTTBlock.forward` and normalise its output."""
        x, current = super().forward(*args, **kwargs)
        return self.output_norm(x), current
