"""Prompt network: clicks, boxes and rough masks of one frame to a mask of each object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from aotlab.configs.schema import ModelConfig
from aotlab.networks.decoder import FPNDecoder
from aotlab.networks.encoders import build_encoder
from aotlab.networks.stage import Stage

PLANES = ("positive", "negative", "box", "mask")
"""prompt planes in channel order: discs on clicks, discs on clicks beside the object, filled box, rough mask"""


class PromptNetwork(nn.Module):
    """A second identity bank over prompt planes, with its own encoder, blocks and decoder.

    A frame with prompts is a reference frame whose identity embedding comes from the planes; the decoder returns the
    object. Two finer banks tell the decoder at strides 4 and 8 where the prompts are. Objects are rows of the batch.
    Nothing here is used when masks are given, so a tracker's masks do not depend on it.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.encoder = build_encoder(config.encoder)
        channels: tuple[int, ...] = self.encoder.channels  # type: ignore[assignment]
        self.projector = nn.Conv2d(channels[3], config.dim, 1)
        stage = replace(config.stages[0], depth=config.prompt_blocks, drop_path=0.0, shared=False)
        bank = replace(
            config,
            max_objects=len(PLANES) - 1,
            ignore_plane=False,
            scalable=False,
            depth=None,
            stages=[stage],
        )
        self.stage = Stage(bank, 0, channels, None)
        self.decoder = FPNDecoder(
            [self.stage.embeddings_dim], channels[:3], 1, dim=config.dim, align_corners=config.align_corners
        )
        self.quarter = nn.Conv2d(len(PLANES), channels[0], 5, 4, padding=2)
        self.eighth = nn.Conv2d(len(PLANES), channels[1], 9, 8, padding=4)
        for fine in (self.quarter, self.eighth):  # no effect before training
            nn.init.zeros_(fine.weight)
            nn.init.zeros_(fine.bias)  # type: ignore[arg-type]

    def encode(self, image: Tensor) -> list[Tensor]:
        """Encode a normalised image B×3×H×W as maps at strides 4, 8, 16, and the last one projected."""
        *maps, last = self.encoder(image)
        return [*maps, self.projector(last)]

    def forward(self, features: Sequence[Tensor], planes: Tensor) -> Tensor:
        """Segment N objects.

        Args:
            features: from `encode`, of batch N, or 1 shared by all objects.
            planes: N×4×H×W in 0 to 1, in the order of `PLANES`.

        Returns:
            Logits N×1×h×w at stride 4 of each object against all else.
        """
        quarter, eighth, sixteenth, projected = features
        x = projected.expand(len(planes), -1, -1, -1)
        output = self.stage(x, features, None, self.stage.assign_identities(planes))
        embeddings = torch.cat(output.embeddings, dim=1)
        quarter, eighth = quarter + self.quarter(planes), eighth + self.eighth(planes)
        return self.decoder(embeddings, quarter, eighth, sixteenth)

    def start_from(self, model: Any) -> None:
        """Copy a tracking model's encoder; of an AOT of one stage also its first block, decoder and identities.

        ``model``: a `VOSModel` with the same settings.
        """
        self.encoder.load_state_dict(model.encoder.state_dict())
        self.projector.load_state_dict(model.projector.state_dict())
        if (
            len(model.stages) > 1
            or model.config.stages[0].block != "lstt"
            or not model.config.decode_all_blocks
        ):
            return
        source = model.stages[0]
        for block in self.stage.blocks:
            block.load_state_dict(source.blocks[0].state_dict())
        for norm in self.stage.norms:
            norm.load_state_dict(source.norms[0].state_dict())
        self._start_bank(source.identity_bank)
        self._start_decoder(model.decoder.state_dict())

    @torch.no_grad()
    def _start_bank(self, identities: Any) -> None:
        """Planes on the object begin as the first identity, planes beside it as background."""
        own: Any = self.stage.identity_bank
        background, identity = identities.weight[:, 0], identities.weight[:, 1]
        for plane, gain in enumerate((3.0, -2.1, 0.6, 1.0)):  # discs fill a part of a patch only
            own.weight[:, plane] = gain * (identity - background)
        own.bias.copy_(identities.bias + 0.5 * background.sum((1, 2)))

    @torch.no_grad()
    def _start_decoder(self, state: dict[str, Tensor]) -> None:
        """The last embedding is shared by all blocks; the logit is that of identity 1 against background."""
        name, state = "conv_in.conv.weight", dict(state)
        own, given = self.decoder.state_dict()[name].clone(), state[name]
        dim, blocks = self.projector.out_channels, len(self.stage.blocks)
        own[:, :dim] = given[:, :dim]
        for block in range(blocks):
            own[:, (1 + block) * dim : (2 + block) * dim] = given[:, dim : 2 * dim] / blocks
        state[name] = own
        for key in ("conv_out.weight", "conv_out.bias"):
            state[key] = state[key][1:2] - state[key][0:1]
        self.decoder.load_state_dict(state)
