"""Prompt network: clicks, boxes and rough masks of one frame to a mask of each object."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.networks.aot import LSTTBlock
from aotlab.networks.decoders import FPNDecoder
from aotlab.networks.encoders import build_encoder
from aotlab.networks.identity_bank import IdentityBank
from aotlab.networks.layers import ConvGN, init_xavier, map_to_tokens, tokens_to_map
from aotlab.networks.model import Features
from aotlab.prompting.config import PromptConfig

PLANES = ("positive", "negative", "box", "mask")
"""Prompt planes in channel order: discs on positive points, discs on negative points, filled box, rough mask."""


class PromptNetwork(nn.Module):
    """AOT's blocks fed by an identity bank that embeds prompt planes, with its own encoder and decoder.

    A frame with prompts is a reference frame whose identity embedding comes from the planes; the decoder returns the
    object. Two finer banks tell the decoder at strides 4 and 8 where the prompts are. One object per batch element.
    It shares no weights with tracking models.
    """

    def __init__(self, config: PromptConfig) -> None:
        super().__init__()
        self.config, dim = config, config.dim
        self.encoder = build_encoder(config.encoder)
        channels = self.encoder.channels
        self.projector = nn.Conv2d(channels[3], dim, 1)
        self.identity_bank = IdentityBank(len(PLANES), dim, align_corners=config.align_corners)
        self.blocks = nn.ModuleList(LSTTBlock(dim, config.stage) for _ in range(config.blocks))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(config.blocks))
        self.conv_in = ConvGN((1 + config.blocks) * dim, dim, 1)
        self.decoder = FPNDecoder(channels, 1, config.dim, align_corners=config.align_corners)
        init_xavier(self.conv_in, self.decoder)
        self.bank4 = nn.Conv2d(len(PLANES), channels[0], 5, 4, padding=2)
        self.bank8 = nn.Conv2d(len(PLANES), channels[1], 9, 8, padding=4)
        for bank in (self.bank4, self.bank8):  # zero at first: no effect before training
            nn.init.zeros_(bank.weight)
            nn.init.zeros_(bank.bias)  # type: ignore[arg-type]

    def encode(self, image: Tensor) -> Features:
        """Encode a normalized image B×3×H×W."""
        f4, f8, f16, last = self.encoder(image)
        return Features(f4, f8, f16, self.projector(last))

    def forward(self, features: Features, planes: Tensor) -> Tensor:
        """Segment N objects.

        Args:
            features: from `encode`, of batch N, or 1 shared by all objects.
            planes: N×4×H×W in 0 to 1, in the order of `PLANES`.

        Returns:
            Logits N×1×h×w at stride 4 of each object against all else.
        """
        x = features.projected.expand(len(planes), -1, -1, -1)
        size = (x.shape[2], x.shape[3])
        tokens, id_embedding, embeddings = map_to_tokens(x), self.identity_bank(planes), [x]
        for block, norm in zip(self.blocks, self.norms, strict=True):
            tokens, _ = block(tokens, size, id_embedding=id_embedding)
            embeddings.append(tokens_to_map(norm(tokens), size))
        prompted = features._replace(f4=features.f4 + self.bank4(planes), f8=features.f8 + self.bank8(planes))
        return self.decoder(F.relu(self.conv_in(torch.cat(embeddings, dim=1))), prompted)
