"""The block of multi-scale AOT: that of AOST, with every output normed."""

from __future__ import annotations

from torch import Tensor, nn

from aotlab.configs.schema import StageConfig
from aotlab.networks.aost import AOSTBlock
from aotlab.networks.block import BlockMemory, KeyValue
from aotlab.networks.positions import Size
from aotlab.networks.temporal import TemporalEmbedding


class PyramidBlock(AOSTBlock):
    """One block."""

    def __init__(self, dim: int, config: StageConfig, first: bool) -> None:
        """``first``: whether it is the model's first block; all are alike."""
        super().__init__(dim, config, first)
        self.output_norm = nn.LayerNorm(dim)

    @staticmethod
    def output_norms(dim: int, depth: int, last: bool) -> list[nn.Module]:
        """No norms: outputs are normed already."""
        return [nn.Identity() for _ in range(depth)]

    def forward(
        self,
        x: Tensor,
        size: Size,
        memory: BlockMemory | None,
        identity: Tensor | None,
        temporal: TemporalEmbedding | None = None,
    ) -> tuple[Tensor, KeyValue]:
        """Propagate memory to the current frame: B×L×C to B×L×C."""
        x, current = super().forward(x, size, memory, identity, temporal)
        return self.output_norm(x), current
