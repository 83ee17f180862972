"""Layers that blocks and encoders share: linear, depthwise convolution, self-attention, feed-forward."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.networks.attention import global_attention
from aotlab.networks.operations import Operation
from aotlab.networks.positions import Size


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


def initialise(module: nn.Module) -> None:
    """Draw all parameters of more than one axis Xavier-uniform."""
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)


class SelfAttention(nn.Module):
    """Self-attention among a frame's own tokens."""

    def __init__(self, dim: int, heads: int, stride: int = 1) -> None:
        """``stride``: only every so many-th token, in row order, is read."""
        super().__init__()
        self.heads, self.stride = heads, stride
        self.query, self.key, self.value = Linear(dim, dim), Linear(dim, dim), Linear(dim, dim)
        self.projection = Linear(dim, dim)

    def forward(self, x: Tensor, position: Tensor | None) -> Tensor:
        """B×L×C to B×L×C; the position embedding, if any, goes into queries and keys."""
        positioned = x if position is None else x + position
        key, value = self.key(positioned[:, :: self.stride]), self.value(x[:, :: self.stride])
        return self.projection(global_attention(self.query(positioned), key, value, self.heads))


class FeedForward(nn.Module):
    """Two linear layers with GroupNorm, GELU and a depthwise 5×5 convolution between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.expand = Linear(dim, hidden)
        self.norm = nn.GroupNorm(32, hidden)
        self.conv = DepthwiseConv2d(hidden, 5)
        self.reduce = Linear(hidden, dim)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """B×L×C to B×L×C; ``size`` is the map's."""
        hidden = self.expand(x).unflatten(1, size).permute(0, 3, 1, 2)  # B×hidden×H×W
        hidden = self.conv(F.gelu(self.norm(hidden)))
        return self.reduce(hidden.permute(0, 2, 3, 1).flatten(1, 2))
