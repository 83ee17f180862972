"""Training convolutions whose kernel is scaled by the frozen norm after them."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from aotlab.networks.fast.convolutions import FUSIONS


class FoldedNorm(FrozenBatchNorm2d):
    """Frozen norm that the convolution before it applies."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized map as it is."""
        return x


class FoldedConv2d(nn.Conv2d):
    """Convolution without bias and the frozen norm after it; parameters and their names are the same."""

    norm: tuple[FrozenBatchNorm2d]
    """the norm, in a tuple, so that it remains a module of the parent only"""

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W to B×C'×H'×W'."""
        (norm,) = self.norm
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        weight, bias = self.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)


def fold_training_norms(encoder: nn.Module) -> None:
    """Let the convolutions of one of `FUSIONS` apply the frozen norms after them, in place."""
    for parent in encoder.modules() if type(encoder) in FUSIONS else ():
        for conv, norm in pairwise(parent.children()):
            if type(conv) is nn.Conv2d and type(norm) is FrozenBatchNorm2d:
                # keeps parameters and their names, which are saved
                conv.__class__, norm.__class__ = FoldedConv2d, FoldedNorm
                conv.norm = (norm,)  # type: ignore[assignment]
