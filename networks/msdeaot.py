"""MSDeAOT: DeAOT with gated propagation at strides 16 and 8, and a refinement to stride 4.

Its authors published challenge reports (2023) but no code. The reports give the number of blocks and the pyramid;
HQTrack's code gives widths, the wiring of both branches and the decoder, which the preset ``msdeaotl_hq`` reproduces.
Not published, so taken from PAOT: at stride 8, identity patches of 8 pixels and long-term memory of every other
token along both axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from aotlab.configs.methods import MSDeAOTStage
from aotlab.configs.schema import ModelConfig
from aotlab.networks.deaot import GPMBlock, merge_branches
from aotlab.networks.decoders import ConvDecoder
from aotlab.networks.identity_bank import IdentityBank
from aotlab.networks.layers import map_to_tokens
from aotlab.networks.model import Block, Features, Memory, PropagatedFrame, VOSModel
from aotlab.networks.multiscale import Transition


class MSDeAOT(VOSModel):
    """Encoder, GPM blocks at strides 16 and 8, each with its identity bank, and a decoder at stride 4."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        stage16, stage8, _ = cast(list[MSDeAOTStage], config.stages)
        dim16, dim8, dim4 = (stage.width(config.dim) for stage in config.stages)
        align_corners = config.align_corners
        self.identity_bank16 = IdentityBank(config.bank_channels, dim16, align_corners=align_corners)
        self.identity_bank8 = IdentityBank(
            config.bank_channels, dim8, 8, stage8.identity_stride, align_corners=align_corners
        )
        self.identity_norm16, self.identity_norm8 = nn.LayerNorm(dim16), nn.LayerNorm(dim8)
        self.blocks16 = nn.ModuleList(GPMBlock(dim16, stage16, first=index == 0) for index in range(stage16.depth))
        # a branch has the channels of the outputs of all blocks at the coarser stride
        self.transition8 = Transition(
            stage16.depth * dim16, self.encoder.channels[1], dim8, branches=2, align_corners=align_corners
        )
        self.blocks8 = nn.ModuleList(GPMBlock(dim8, stage8, first=False) for _ in range(stage8.depth))
        self.transition4 = Transition(
            stage8.depth * dim8, self.encoder.channels[0], dim4, branches=2, align_corners=align_corners
        )
        self.norm = nn.GroupNorm(2, 2 * dim4)  # a group per branch
        self.decoder = ConvDecoder(2 * dim4, config.dim // 2, 1 + config.max_objects)

    @property
    def stage_blocks(self) -> list[list[Block]]:
        """Blocks at stride 16, and at stride 8."""
        return cast(list[list[Block]], [list(self.blocks16), list(self.blocks8)])

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Return the normalized identity embeddings at strides 16 and 8."""
        return [self.identity_norm16(self.identity_bank16(masks)), self.identity_norm8(self.identity_bank8(masks))]

    def propagate(
        self, features: Features, memory: Memory | None = None, id_embeddings: Sequence[Tensor] | None = None
    ) -> PropagatedFrame:
        """Run the stages; embeddings are the refined map B×2C×H/4×W/4, visual branch first."""
        x = features.projected
        size16 = (x.shape[2], x.shape[3])
        tokens16 = map_to_tokens(x), None
        outputs16, states16 = self.run_blocks(0, tokens16, size16, memory, id_embeddings)
        x = self.transition8([merge_branches(output, size16) for output in outputs16], features.f8)
        size8 = (x.shape[2], x.shape[3])
        tokens8 = map_to_tokens(x).chunk(2, 2)
        outputs8, states8 = self.run_blocks(1, tokens8, size8, memory, id_embeddings)
        embeddings8 = [merge_branches(output, size8) for output in outputs8]
        embeddings = self.norm(self.transition4(embeddings8, features.f4))
        return PropagatedFrame(embeddings, [states16, states8], [size16, size8])

    def decode(self, propagated: PropagatedFrame, features: Features) -> Tensor:
        """Return logits B×(1+M)×H/4×W/4."""
        return self.decoder(propagated.embeddings)
