"""Convolutions with constant kernels and what follows them: the sum with a residual, and the activation.

oneDNN does all three in one pass over the result. Gradients and autocast need them apart.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.models.resnet import Bottleneck

from aotlab.networks.kernels.products import CONVOLVES, DILATION, Product, roughly

RELU, RELU6 = "relu", "relu6"
POST_OPS: dict[str | None, tuple[str, list[float]]] = {
    None: ("none", []),
    RELU: ("relu", []),
    RELU6: ("hardtanh", [0.0, 6.0]),
}
"""activations by name, and how oneDNN calls them"""


class Geometry(NamedTuple):
    """How a kernel moves."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


class Followers(NamedTuple):
    """What follows a convolution: the sum with ``residual``, a map like its result, then ``activation``."""

    activation: str | None = None
    """relu, relu6 or none"""
    residual: Tensor | None = None


def follow(result: Tensor, followers: Followers) -> Tensor:
    """Do what follows a convolution, in the memory of its result."""
    if followers.residual is not None:
        result += followers.residual
    if followers.activation is None:
        return result
    return F.relu(result, inplace=True) if followers.activation == RELU else F.relu6(result, inplace=True)


def _plain(x: Tensor, weight: Tensor, bias: Tensor | None, moves: Geometry, after: Followers) -> Tensor:
    return follow(F.conv2d(x, weight, bias, *moves), after)


def _dilated(x: Tensor, weight: Tensor, bias: Tensor | None, moves: Geometry, after: Followers) -> Tensor:
    if not _is_pointwise(weight, moves):
        return _plain(x, weight, bias, moves, after)
    return follow(F.conv2d(x, weight, bias, moves.stride, dilation=DILATION), after)


def _matrix(x: Tensor, weight: Tensor, bias: Tensor | None, moves: Geometry, after: Followers) -> Tensor:
    """A product of pixels as tokens, for kernels of one pixel."""
    if not _is_pointwise(weight, moves):
        return _plain(x, weight, bias, moves, after)
    pixels = x[:, :, :: moves.stride[0], :: moves.stride[1]].permute(0, 2, 3, 1)  # B×H×W×C
    return follow(F.linear(pixels, weight.flatten(1), bias).permute(0, 3, 1, 2), after)


def _joined(x: Tensor, weight: Tensor, bias: Tensor | None, moves: Geometry, after: Followers) -> Tensor:
    """All in one pass, by oneDNN."""
    if not _joins(x, weight, after):
        return _plain(x, weight, bias, moves, after)
    post_op, bounds = POST_OPS[after.activation]
    operator = torch.ops.mkldnn._convolution_pointwise
    where = (moves.padding, moves.stride, moves.dilation, moves.groups)
    if after.residual is None:
        return operator(x, weight, bias, *where, post_op, bounds, "")
    activation = None if after.activation is None else post_op
    return operator.binary(x, after.residual, weight, bias, *where, "add", 1.0, activation, bounds, None)


def _is_pointwise(weight: Tensor, moves: Geometry) -> bool:
    return weight.shape[2:] == (1, 1) and moves.groups == 1 and moves.padding == (0, 0)


def _joins(x: Tensor, weight: Tensor, after: Followers) -> bool:
    """Whether oneDNN can do all in one: on CPUs without gradients, and in one precision."""
    residual = after.residual
    apart = torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or not (CONVOLVES and x.is_cpu)
    if apart or x.dtype != torch.float32 or weight.dtype != torch.float32:
        return False
    return residual is None or (after.activation != RELU6 and residual.dtype == torch.float32)


def _rule(x: Tensor, weight: Tensor, bias: Tensor | None, moves: Geometry, after: Followers) -> str:
    return "dilated" if CONVOLVES and x.is_cpu and _is_pointwise(weight, moves) else "plain"


def _sizes(
    x: Tensor, weight: Tensor, bias: Tensor | None, moves: Geometry, after: Followers
) -> tuple[int, ...]:
    pixels = roughly(len(x) * x.shape[2] * x.shape[3])
    kinds = (list(POST_OPS).index(after.activation), int(after.residual is not None))
    return (pixels, *weight.shape, moves.stride[0], moves.dilation[0], moves.groups, *kinds)


def _fits(
    name: str, x: Tensor, weight: Tensor, bias: Tensor | None, moves: Geometry, after: Followers
) -> bool:
    """Whether an implementation is another than the plain one."""
    if name == "joined":
        return _joins(x, weight, after)
    return name == "plain" or _is_pointwise(weight, moves)


convolution = Product(
    "convolution",
    {"plain": _plain, "dilated": _dilated, "matrix": _matrix, "joined": _joined},
    _rule, _sizes, _fits,
)  # fmt: skip
"""x B×C×H×W, weight C'×(C/groups)×k×k, bias C' or None, how it moves and what follows, to B×C'×H'×W'"""


class FoldedConv2d(nn.Conv2d):
    """PyTorch's convolution with what follows it, computed by `convolution`; weights and their names are the same."""

    activation: str | None = None
    """of `POST_OPS`"""

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """B×C×H×W to B×C'×H'×W', with ``residual`` of that shape added before the activation."""
        moves = Geometry(self.stride, self.padding, self.dilation, self.groups)  # type: ignore[arg-type]
        return convolution(x, self.weight, self.bias, moves, Followers(self.activation, residual))


class FoldedBottleneck(nn.Module):
    """A block of ResNet for inference; what follows a convolution is left to it."""

    def __init__(self, block: Bottleneck) -> None:
        """Take over the folded convolutions of ``block``."""
        super().__init__()
        self.conv1, self.conv2, self.conv3 = block.conv1, block.conv2, block.conv3
        self.downsample = block.downsample
        for conv in (self.conv1, self.conv2, self.conv3):
            conv.activation = RELU

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W to B×C'×H'×W'."""
        residual = x if self.downsample is None else self.downsample(x)
        return self.conv3(self.conv2(self.conv1(x)), residual)


class FoldedInvertedResidual(nn.Module):
    """A block of MobileNetV2 with a residual, for inference; its sum is left to its last convolution."""

    def __init__(self, block: InvertedResidual) -> None:
        """Take over the folded layers of ``block``, the last of which has become the identity."""
        super().__init__()
        self.conv = block.conv

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W to B×C×H×W."""
        *layers, last, _ = self.conv
        hidden = x
        for layer in layers:
            hidden = layer(hidden)
        return last(hidden, x)
