"""PAOT: Video Object Segmentation in Panoptic Wild Scenes (Xu, Yang, Yang; IJCAI 2023).

Pyramid AOT: AOST's block in stages from stride 16 to 4, each with its identity bank. Details are from the published
code of AOT (branch ``paot``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from aotlab.configs.methods import PAOTStage
from aotlab.configs.schema import ModelConfig
from aotlab.networks.aost import AOSTBlock, AOSTState
from aotlab.networks.attention import MapSize
from aotlab.networks.decoders import ConvDecoder
from aotlab.networks.identity_bank import IdentityBank
from aotlab.networks.layers import map_to_tokens, tokens_to_map
from aotlab.networks.model import Block, BlockMemory, BlockState, Features, Memory, PropagatedFrame, VOSModel
from aotlab.networks.multiscale import Transition

ENCODER_MAPS = {4: 0, 8: 1, 16: 2}
"""Index in `Features` of the encoder's map of each stride."""


class PyramidBlock(AOSTBlock):
    """AOST block with a norm of its output."""

    def __init__(self, dim: int, config: PAOTStage) -> None:
        super().__init__(dim, config)
        self.output_norm = nn.LayerNorm(dim)

    def forward(
        self, x: Tensor, size: MapSize, memory: BlockMemory | None = None, id_embedding: Tensor | None = None
    ) -> tuple[Tensor, AOSTState]:
        """Run the AOST block, and normalize its output."""
        x, state = super().forward(x, size, memory, id_embedding)
        return self.output_norm(x), state


class Stage(nn.Module):
    """Blocks at one stride with their identity bank; the last stage may only refine and has neither."""

    def __init__(self, config: ModelConfig, settings: PAOTStage, transition: Transition | None) -> None:
        """``transition``: layers from the coarser stage; None for the first."""
        super().__init__()
        dim, stride = settings.width(config.dim), settings.stride
        self.encoder_map = ENCODER_MAPS[stride]
        self.transition = transition
        self.blocks = nn.ModuleList(PyramidBlock(dim, settings) for _ in range(settings.depth))
        if settings.depth:
            self.identity_bank = IdentityBank(
                config.bank_channels, dim, stride, settings.identity_stride, align_corners=config.align_corners
            )
            self.identity_norm = nn.LayerNorm(dim)
        self.out_channels = (1 + settings.depth) * dim
        """Channels of its embeddings: its input, and the output of each block."""


class PAOT(VOSModel):
    """Encoder, stages from coarse to fine, each refining the embeddings of the previous one, and a decoder."""

    stages: Sequence[Stage]

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        stages: list[Stage] = []
        for settings in cast(list[PAOTStage], config.stages):
            transition = None
            if stages:
                transition = Transition(
                    stages[-1].out_channels,
                    self.encoder.channels[ENCODER_MAPS[settings.stride]],
                    settings.width(config.dim),
                    branches=1,
                    align_corners=config.align_corners,
                )
            stages.append(Stage(config, settings, transition))
        self.stages = nn.ModuleList(stages)  # type: ignore[assignment]
        self.decoder = ConvDecoder(stages[-1].out_channels, config.dim // 2, 1 + config.max_objects)

    @property
    def stage_blocks(self) -> list[list[Block]]:
        """Blocks of each stage that has some, coarse to fine."""
        return cast(list[list[Block]], [list(stage.blocks) for stage in self.stages if len(stage.blocks)])

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Return the normalized identity embedding of each stage with blocks."""
        return [stage.identity_norm(stage.identity_bank(masks)) for stage in self.stages if len(stage.blocks)]

    def propagate(
        self, features: Features, memory: Memory | None = None, id_embeddings: Sequence[Tensor] | None = None
    ) -> PropagatedFrame:
        """Run the stages; embeddings are those of the last one: its input and all outputs, side by side."""
        x = features.projected
        embeddings: list[Tensor] = []
        states: list[list[BlockState]] = []
        sizes: list[MapSize] = []
        for index, stage in enumerate(self.stages):
            if stage.transition is not None:
                x = stage.transition(embeddings, features[stage.encoder_map])
            size = (x.shape[2], x.shape[3])
            embeddings = [x]
            if len(stage.blocks):
                outputs, stage_states = self.run_blocks(index, map_to_tokens(x), size, memory, id_embeddings)
                embeddings += [tokens_to_map(output, size) for output in outputs]
                states.append(stage_states)
                sizes.append(size)
        return PropagatedFrame(torch.cat(embeddings, dim=1), states, sizes)

    def decode(self, propagated: PropagatedFrame, features: Features) -> Tensor:
        """Return logits B×(1+M)×h×w at the stride of the last stage."""
        return self.decoder(propagated.embeddings)
