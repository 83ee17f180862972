"""From one stage to the next finer one: outputs joined, resized, and the encoder's map added to them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.networks.decoder import ConvGN


class Residual(nn.Module):
    """Two 3×3 convolutions with GroupNorm of 8 groups on a residual branch."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1, self.gn1 = nn.Conv2d(dim, dim, 3, padding=1), nn.GroupNorm(8, dim)
        self.conv2, self.gn2 = nn.Conv2d(dim, dim, 3, padding=1), nn.GroupNorm(8, dim)

    def forward(self, x: Tensor) -> Tensor:
        """B×C×h×w to the same."""
        hidden = self.gn1(self.conv1(F.relu(x)))
        return x + self.gn2(self.conv2(F.relu(hidden)))


class Transition(nn.Module):
    """Hands the embeddings of a stage on to the next; every branch on its own, the encoder's map shared."""

    def __init__(self, inputs: int, shortcut: int, dim: int, *, branches: int, align_corners: bool) -> None:
        """Make the convolutions of all branches.

        Args:
            inputs: channels that a branch gets from the coarser stage.
            shortcut: channels of the encoder's map at the finer stride.
            dim: channels of a branch at the finer stage.
            branches: 1, or 2 for a visual and an identity branch.
            align_corners: how maps are resized.
        """
        super().__init__()
        self.align_corners = align_corners
        self.adapter = nn.Conv2d(shortcut, dim, 1)
        self.enter = nn.ModuleList(ConvGN(inputs, dim, 1) for _ in range(branches))
        self.leave = nn.ModuleList(
            nn.Sequential(OrderedDict(res1=Residual(dim), res2=Residual(dim))) for _ in range(branches)
        )
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, coarse: Sequence[Tensor], shortcut: Tensor) -> Tensor:
        """Refine what a stage hands on.

        Args:
            coarse: maps B×(branches·C)×h×w, branches side by side, C summing up to ``inputs``.
            shortcut: the encoder's map at the finer stride, of batch B, or 1 shared by all.

        Returns:
            B×(branches·dim)×H×W, as large as the encoder's map.
        """
        added = self.adapter(shortcut)
        parts = zip(*(x.chunk(len(self.enter), dim=1) for x in coarse), strict=True)
        branches = []
        for enter, leave, part in zip(self.enter, self.leave, parts, strict=True):
            x = F.relu(enter(torch.cat(part, dim=1)))
            x = F.interpolate(x, added.shape[2:], mode="bilinear", align_corners=self.align_corners)
            branches.append(F.relu(leave(added + x)))
        return torch.cat(branches, dim=1)
