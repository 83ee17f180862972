"""MSDeAOT: DeAOT with gated propagation at several scales (challenge reports of 2023; HQTrack).

GPM blocks at strides 16 and 8; the last stage only refines down to stride 4.
"""

from __future__ import annotations

from torch import nn

from aotlab.configs.schema import ModelConfig
from aotlab.networks.deaot import GPMBlock, TokenGroupNorm
from aotlab.networks.decoders import ConvDecoder
from aotlab.networks.identity_bank import IdentityBank
from aotlab.networks.multiscale import ENCODER_MAPS, MultiScaleModel, Stage, Transition


class MSDeAOT(MultiScaleModel):
    """Encoder, stages of GPM blocks, and a decoder of the last stage's output."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        stages: list[Stage] = []
        embeddings = 0  # channels of a branch of all embeddings of the stage before
        for number, settings in enumerate(config.stages):
            first, last = number == 0, number == len(config.stages) - 1
            dim = settings.dim or config.dim
            shortcut = self.channels[ENCODER_MAPS[settings.stride]]
            transition = bank = None
            outputs = max(settings.depth, 1)  # a stage without blocks hands on what it refined
            if number:
                transition = Transition(
                    embeddings, shortcut, dim, branches=2, align_corners=config.align_corners
                )
            if settings.depth:
                bank = IdentityBank(config, dim, settings.stride, settings.identity_stride)
            stages.append(
                Stage(
                    stride=settings.stride,
                    transition=transition,
                    blocks=[
                        GPMBlock(dim, settings, first=first and not block) for block in range(settings.depth)
                    ],
                    norms=[TokenGroupNorm(2, 2 * dim)] if last else [nn.Identity() for _ in range(outputs)],
                    identity_bank=bank,
                    identity_norm=nn.LayerNorm(dim) if settings.depth else None,
                    memory_stride=settings.memory_stride,
                )
            )
            embeddings = outputs * dim
        self.stages = nn.ModuleList(stages)
        self.decoder = ConvDecoder(2 * dim, config.dim // 2, config.max_objects + 1)

    @property
    def heads(self) -> int:
        """1, as in DeAOT."""
        return 1
