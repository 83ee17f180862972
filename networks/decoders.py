"""FPN decoder: from propagated embeddings to identity logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.networks.layers import ConvGN, init_xavier


class FeaturePyramid(nn.Module):
    """Refinement of embeddings at stride 16 with the encoder's maps down to stride 4 (AOT)."""

    def __init__(
        self,
        conv_in: nn.Module,
        skip_channels: Sequence[int],
        out_channels: int,
        *,
        dim: int,
        align_corners: bool,
    ) -> None:
        """Create the layers.

        Args:
            conv_in: input layers, for the decoder that inherits the pyramid.
            skip_channels: channels of the encoder's maps at strides 4, 8 and 16.
            out_channels: channels of the logits, 1 + M: background and identities.
            dim: channels of the refined embeddings.
            align_corners: how maps are resized.
        """
        super().__init__()
        self.align_corners = align_corners
        self.conv_in = conv_in
        self.conv_16x = ConvGN(dim, dim, 3)
        self.conv_8x = ConvGN(dim, dim // 2, 3)
        self.conv_4x = ConvGN(dim // 2, dim // 2, 3)
        self.adapter_16x = nn.Conv2d(skip_channels[2], dim, 1)
        self.adapter_8x = nn.Conv2d(skip_channels[1], dim, 1)
        self.adapter_4x = nn.Conv2d(skip_channels[0], dim // 2, 1)
        self.conv_out = nn.Conv2d(dim // 2, out_channels, 1)
        init_xavier(self)

    def refine(self, x: Tensor, f4: Tensor, f8: Tensor, f16: Tensor) -> Tensor:
        """B×dim×H/16×W/16 and the encoder's maps (batch B, or 1 shared by all) to logits B×out_channels×H/4×W/4."""
        x = F.relu(self.conv_16x(self.adapter_16x(f16) + x))  # B×dim×H/16×W/16
        x = F.interpolate(x, f8.shape[2:], mode="bilinear", align_corners=self.align_corners)
        x = F.relu(self.conv_8x(self.adapter_8x(f8) + x))  # B×dim/2×H/8×W/8
        x = F.interpolate(x, f4.shape[2:], mode="bilinear", align_corners=self.align_corners)
        x = F.relu(self.conv_4x(self.adapter_4x(f4) + x))  # B×dim/2×H/4×W/4
        return self.conv_out(x)


class FPNDecoder(FeaturePyramid):
    """Feature pyramid of the embeddings of all blocks."""

    def __init__(
        self,
        in_channels: int,
        skip_channels: Sequence[int],
        out_channels: int,
        *,
        dim: int,
        align_corners: bool,
    ) -> None:
        """``in_channels``: channels of the embeddings; the rest as `FeaturePyramid`."""
        super().__init__(
            ConvGN(in_channels, dim, 1), skip_channels, out_channels, dim=dim, align_corners=align_corners
        )

    def forward(self, x: Tensor, f4: Tensor, f8: Tensor, f16: Tensor) -> Tensor:
        """Embeddings B×in_channels×H/16×W/16 to logits; the rest as `refine`."""
        return self.refine(F.relu(self.conv_in(x)), f4, f8, f16)


class ScalableDecoder(FeaturePyramid):
    """Feature pyramid with an input layer per depth (AOST)."""

    conv_in: nn.ModuleList

    def __init__(
        self,
        in_channels: Sequence[int],
        skip_channels: Sequence[int],
        out_channels: int,
        *,
        dim: int,
        align_corners: bool,
    ) -> None:
        """``in_channels``: channels of the embeddings at each depth; the rest as `FeaturePyramid`."""
        conv_in = nn.ModuleList(ConvGN(channels, dim, 1) for channels in in_channels)
        super().__init__(conv_in, skip_channels, out_channels, dim=dim, align_corners=align_corners)

    def forward(self, x: Tensor, f4: Tensor, f8: Tensor, f16: Tensor, depth: int) -> Tensor:
        """Embeddings B×in_channels×H/16×W/16 of ``depth`` blocks to logits; the rest as `refine`."""
        return self.refine(F.relu(self.conv_in[depth - 1](x)), f4, f8, f16)
