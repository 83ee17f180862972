"""PyTorch's linear layer, depthwise convolution and resizing as operations that kernels may replace."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.networks.operations import Operation


@Operation
def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x ...×C, weight C'×C and bias C' or None to ...×C'."""
    return F.linear(x, weight, bias)


class Linear(nn.Linear):
    """PyTorch's linear layer, computed by `linear`; weights and their names are the same."""

    def forward(self, x: Tensor) -> Tensor:
        """...×C to ...×C'."""
        return linear(x, self.weight, self.bias)


def replace_linear(module: nn.Module) -> None:
    """Replace every plain linear layer inside a module by a `Linear` with the same weights."""
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            with torch.device("meta"):
                layer = Linear(child.in_features, child.out_features, bias=child.bias is not None)
            layer.weight, layer.bias = child.weight, child.bias
            setattr(module, name, layer)
        else:
            replace_linear(child)


@Operation
def depthwise(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """x B×C×H×W, weight C×1×k×k with k odd, bias C or None to B×C×H×W, with stride 1 and zeros around the map."""
    margin = dilation * (weight.shape[2] // 2)
    return F.conv2d(x, weight, bias, 1, margin, dilation, len(weight))


class DepthwiseConv2d(nn.Conv2d):
    """PyTorch's convolution without a bias, a group per channel and stride 1, computed by `depthwise`."""

    def __init__(self, dim: int, side: int) -> None:
        """``side``: of the kernel in pixels, odd."""
        super().__init__(dim, dim, side, padding=side // 2, groups=dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W to B×C×H×W."""
        return depthwise(x, self.weight, None, 1)


@Operation
def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """B×C×H×W to B×C×h×w, ``size`` = (h, w), bicubic without antialiasing, as in the published code."""
    return F.interpolate(image, size, mode="bicubic", align_corners=False)
