"""Decoders: from propagated embeddings to identity logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.networks.layers import ConvGN, init_xavier
from aotlab.networks.model import Features


class FPNDecoder(nn.Module):
    """Feature pyramid that refines a map at stride 16 with the encoder's maps down to stride 4 (AOT).

    The model projects its embeddings to that map, and initializes the decoder together with this projection.
    """

    def __init__(self, skip_channels: Sequence[int], out_channels: int, dim: int, *, align_corners: bool) -> None:
        """Create the layers.

        Args:
            skip_channels: channels of the encoder's maps, the first three at strides 4, 8 and 16.
            out_channels: channels of the logits, 1 + M for background and identities.
            dim: width of the map at stride 16.
            align_corners: how maps are resized.
        """
        super().__init__()
        self.align_corners = align_corners
        self.conv_16x = ConvGN(dim, dim, 3)
        self.conv_8x = ConvGN(dim, dim // 2, 3)
        self.conv_4x = ConvGN(dim // 2, dim // 2, 3)
        self.adapter_16x = nn.Conv2d(skip_channels[2], dim, 1)
        self.adapter_8x = nn.Conv2d(skip_channels[1], dim, 1)
        self.adapter_4x = nn.Conv2d(skip_channels[0], dim // 2, 1)
        self.conv_out = nn.Conv2d(dim // 2, out_channels, 1)

    def forward(self, x: Tensor, features: Features) -> Tensor:
        """Map B×dim×H/16×W/16 and the encoder's maps to logits B×out_channels×H/4×W/4."""
        f4, f8, f16, _ = features
        x = F.relu(self.conv_16x(self.adapter_16x(f16) + x))  # B×dim×H/16×W/16
        x = F.interpolate(x, f8.shape[2:], mode="bilinear", align_corners=self.align_corners)
        x = F.relu(self.conv_8x(self.adapter_8x(f8) + x))  # B×dim/2×H/8×W/8
        x = F.interpolate(x, f4.shape[2:], mode="bilinear", align_corners=self.align_corners)
        x = F.relu(self.conv_4x(self.adapter_4x(f4) + x))  # B×dim/2×H/4×W/4
        return self.conv_out(x)


class ConvDecoder(nn.Module):
    """Two convolutions on the embeddings of the finest stage, which transitions have refined."""

    def __init__(self, in_channels: int, hidden: int, out_channels: int) -> None:
        """``out_channels``: 1 + M for background and identities."""
        super().__init__()
        self.conv_out_hidden = ConvGN(in_channels, hidden, 3)
        self.conv_out = nn.Conv2d(hidden, out_channels, 1)
        init_xavier(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map B×in_channels×h×w to logits B×out_channels×h×w."""
        return self.conv_out(F.relu(self.conv_out_hidden(x)))
