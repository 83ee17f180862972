"""Decoders: from propagated embeddings to identity logits.

One stage is decoded by an FPN with the encoder's maps (AOT, section 5.1). Of several stages each has refined the one
before with its encoder map, so two convolutions are left to do.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.networks.layers import initialise


class ConvGN(nn.Sequential):
    """Convolution with bias, then GroupNorm of 8 groups."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        super().__init__(OrderedDict(conv=conv, gn=nn.GroupNorm(8, outputs)))


class FPNDecoder(nn.Module):
    """Refines embeddings at stride 16 with the encoder's maps down to stride 4."""

    def __init__(
        self, inputs: Sequence[int], shortcuts: Sequence[int], outputs: int, *, dim: int, align_corners: bool
    ) -> None:
        """Make the convolutions of all depths.

        Args:
            inputs: channels of the embeddings; of a scalable model at each depth.
            shortcuts: channels of the encoder's maps at strides 4, 8 and 16.
            outputs: identities and background.
            dim: channels of the refined embeddings.
            align_corners: how maps are resized.
        """
        super().__init__()
        quarter, eighth, sixteenth = shortcuts
        self.align_corners = align_corners
        heads = [ConvGN(each, dim, 1) for each in inputs]
        self.conv_in = heads[0] if len(heads) == 1 else nn.ModuleList(heads)
        self.conv_16x, self.conv_8x = ConvGN(dim, dim, 3), ConvGN(dim, dim // 2, 3)
        self.conv_4x = ConvGN(dim // 2, dim // 2, 3)
        self.adapter_16x, self.adapter_8x = nn.Conv2d(sixteenth, dim, 1), nn.Conv2d(eighth, dim, 1)
        self.adapter_4x = nn.Conv2d(quarter, dim // 2, 1)
        self.conv_out = nn.Conv2d(dim // 2, outputs, 1)
        initialise(self)

    def forward(
        self, x: Tensor, quarter: Tensor, eighth: Tensor, sixteenth: Tensor, depth: int = 1
    ) -> Tensor:
        """Decode B×inputs×H/16×W/16 of a depth; the encoder's maps have batch B, or 1 shared by all.

        Returns:
            B×outputs×H/4×W/4 logits.
        """
        conv_in = self.conv_in[depth - 1] if isinstance(self.conv_in, nn.ModuleList) else self.conv_in
        x = F.relu(conv_in(x))
        x = F.relu(self.conv_16x(self.adapter_16x(sixteenth) + x))
        x = F.interpolate(x, eighth.shape[2:], mode="bilinear", align_corners=self.align_corners)
        x = F.relu(self.conv_8x(self.adapter_8x(eighth) + x))
        x = F.interpolate(x, quarter.shape[2:], mode="bilinear", align_corners=self.align_corners)
        x = F.relu(self.conv_4x(self.adapter_4x(quarter) + x))
        return self.conv_out(x)


class ConvDecoder(nn.Module):
    """Reads identities off the embeddings of the last of several stages."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.conv_out_hidden, self.conv_out = ConvGN(inputs, hidden, 3), nn.Conv2d(hidden, outputs, 1)
        initialise(self)

    def forward(self, x: Tensor, *unused: Tensor | int) -> Tensor:
        """B×inputs×h×w to B×outputs×h×w logits; maps and depth are for decoders that refine."""
        return self.conv_out(F.relu(self.conv_out_hidden(x)))
