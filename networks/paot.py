"""PAOT: Video Object Segmentation in Panoptic Wild Scenes (Xu, Yang, Yang; IJCAI 2023).

Pyramid AOT: AOST's block in stages from stride 16 to 4, each with its identity bank. Details are from the published
code of AOT (branch ``paot``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from aotlab.configs.schema import ModelConfig, StageConfig
from aotlab.networks.aost import AOSTBlock
from aotlab.networks.attention import Size
from aotlab.networks.identity_bank import IdentityBank
from aotlab.networks.layers import map_to_tokens, tokens_to_map
from aotlab.networks.model import (
    BlockMemory,
    Features,
    KeyValue,
    Memory,
    PropagatedFrame,
    VOSModel,
    expand_frame,
    run_blocks,
)
from aotlab.networks.multiscale import ConvDecoder, Transition, subsample_long_term

ENCODER_MAPS = {4: 0, 8: 1, 16: 2}
"""index in `Features` of the encoder's map of each stride"""


class PyramidBlock(AOSTBlock):
    """AOST block with a norm of its output; its self-attention may have other heads and read one token in several."""

    def __init__(self, dim: int, config: StageConfig) -> None:
        super().__init__(dim, config)
        self.output_norm = nn.LayerNorm(dim)

    def forward(
        self, x: Tensor, size: Size, memory: BlockMemory | None, id_embedding: Tensor | None
    ) -> tuple[Tensor, KeyValue]:
        """Run `AOSTBlock.forward` and normalise its output."""
        x, state = super().forward(x, size, memory, id_embedding)
        return self.output_norm(x), state


class Stage(nn.Module):
    """Blocks at one stride with their identity bank; the last stage may only refine and has neither."""

    def __init__(self, config: ModelConfig, settings: StageConfig, transition: Transition | None) -> None:
        """``transition``: from the coarser stage; None for the first."""
        super().__init__()
        dim, stride = settings.dim or config.dim, settings.stride
        self.encoder_map = ENCODER_MAPS[stride]
        self.transition = transition
        self.blocks = nn.ModuleList(PyramidBlock(dim, settings) for _ in range(settings.depth))
        if settings.depth:
            self.identity_bank = IdentityBank(
                config.bank_planes, dim, stride, settings.identity_stride, align_corners=config.align_corners
            )
            self.identity_norm = nn.LayerNorm(dim)
        self.outputs = (1 + settings.depth) * dim
        """channels of all embeddings"""

    def forward(
        self, x: Tensor, memory: Sequence[BlockMemory] | None, id_embedding: Tensor | None
    ) -> tuple[list[Tensor], list[KeyValue]]:
        """Map B×C×h×w to the stage's embeddings, maps, and the states of its blocks."""
        size = (x.shape[2], x.shape[3])
        outputs, states = run_blocks(self.blocks, map_to_tokens(x), size, memory, id_embedding)
        return [x, *(tokens_to_map(output, size) for output in outputs)], states

    def assign_identities(self, masks: Tensor) -> Tensor:
        """Masks B×(m+1)×H×W to the identity embedding B×L×C."""
        return self.identity_norm(self.identity_bank(masks))


class PAOT(VOSModel):
    """Encoder, stages from coarse to fine, each refining the embeddings of the one before, and a decoder."""

    stages: Iterable[Any]
    """`Stage`s, in an `nn.ModuleList`"""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        stages: list[Stage] = []
        for settings in config.stages:
            transition = None
            if stages:
                transition = Transition(
                    stages[-1].outputs,
                    self.encoder.channels[ENCODER_MAPS[settings.stride]],
                    settings.dim or config.dim,
                    branches=1,
                    align_corners=config.align_corners,
                )
            stages.append(Stage(config, settings, transition))
        self.stages = nn.ModuleList(stages)
        self.decoder = ConvDecoder(stages[-1].outputs, config.dim // 2, 1 + config.max_objects)

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Masks B×(m+1)×H×W to the identity embedding B×L×C of each stage with blocks."""
        return [stage.assign_identities(masks) for stage in self.stages if len(stage.blocks)]

    def propagate(
        self, features: Features, memory: Memory | None = None, id_embeddings: Sequence[Tensor] | None = None
    ) -> PropagatedFrame:
        """Run the stages; see `VOSModel.propagate`."""
        x, size = expand_frame(features, memory, id_embeddings)
        embeddings: list[Tensor] = []
        states: list[KeyValue] = []
        sizes: list[Size] = []
        identities = iter(id_embeddings or ())  # of the stages with blocks, which come first
        for number, stage in enumerate(self.stages):
            if number:
                x = stage.transition(embeddings, features[stage.encoder_map])
                size = (x.shape[2], x.shape[3])
            blocks = slice(len(states), len(states) + len(stage.blocks))
            stage_memory = None if memory is None else memory[blocks]
            embeddings, stage_states = stage(x, stage_memory, next(identities, None))
            states += stage_states
            sizes += [size] * len(stage_states)
        return PropagatedFrame(embeddings, states, sizes)

    def memorize(self, propagated: PropagatedFrame, id_embeddings: Sequence[Tensor]) -> list[BlockMemory]:
        """Return the frame's memory of each block; see `VOSModel.memorize`."""
        blocks = [(block, number) for number, stage in enumerate(self.stages) for block in stage.blocks]
        memories = []
        for (block, number), state, size in zip(blocks, propagated.states, propagated.sizes, strict=True):
            memory = block.memorize(state, id_embeddings[number])
            memories.append(subsample_long_term(memory, size, self.config.stages[number].memory_stride))
        return memories

    def decode(self, propagated: PropagatedFrame, features: Features) -> Tensor:
        """Return logits B×(1+M)×h×w at the stride of the last stage."""
        return self.decoder(torch.cat(propagated.embeddings, dim=1))
