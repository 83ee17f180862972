"""Layers between a stage and the next finer one, shared by MSDeAOT and PAOT."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.networks.layers import ConvGN, init_xavier


class Residual(nn.Module):
    """Two 3×3 convolutions with GroupNorm of 8 groups on a residual branch, each after a ReLU (pre-activation)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1, self.gn1 = nn.Conv2d(dim, dim, 3, padding=1), nn.GroupNorm(8, dim)
        self.conv2, self.gn2 = nn.Conv2d(dim, dim, 3, padding=1), nn.GroupNorm(8, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map B×C×h×w to the same shape."""
        hidden = self.gn1(self.conv1(F.relu(x)))
        return x + self.gn2(self.conv2(F.relu(hidden)))


class Transition(nn.Module):
    """Projects a stage's embeddings, upsamples them, adds the encoder's finer map and refines the sum, per branch."""

    def __init__(self, in_channels: int, skip_channels: int, dim: int, *, branches: int, align_corners: bool) -> None:
        """Create the convolutions.

        Args:
            in_channels: channels per branch, summed over the embeddings of the coarser stage.
            skip_channels: channels of the encoder's map at the finer stride.
            dim: channels of a branch at the finer stage.
            branches: 1, or 2 for a visual and an identity branch.
            align_corners: how maps are resized.
        """
        super().__init__()
        self.align_corners = align_corners
        self.adapter = nn.Conv2d(skip_channels, dim, 1)
        self.proj_in = nn.ModuleList(ConvGN(in_channels, dim, 1) for _ in range(branches))
        self.refine = nn.ModuleList(
            nn.Sequential(OrderedDict(res1=Residual(dim), res2=Residual(dim))) for _ in range(branches)
        )
        init_xavier(self)

    def forward(self, coarse: Sequence[Tensor], skip: Tensor) -> Tensor:
        """Refine the embeddings of a stage.

        Args:
            coarse: maps B×(branches·C)×h×w, branches side by side, C summing up to ``in_channels``.
            skip: the encoder's map at the finer stride.

        Returns:
            B×(branches·dim)×h×w, as large as the encoder's map.
        """
        skip = self.adapter(skip)
        chunks = [x.chunk(len(self.proj_in), dim=1) for x in coarse]  # by map, then by branch
        branches = []
        for index, (proj_in, refine) in enumerate(zip(self.proj_in, self.refine, strict=True)):
            x = F.relu(proj_in(torch.cat([maps[index] for maps in chunks], dim=1)))
            x = F.interpolate(x, skip.shape[2:], mode="bilinear", align_corners=self.align_corners)
            branches.append(F.relu(refine(skip + x)))
        return torch.cat(branches, dim=1)
