"""Convolutions with frozen norms folded in, and with the activation and the sum that follow them."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.models.resnet import Bottleneck
from torchvision.ops import FrozenBatchNorm2d

ONEDNN_ACTIVATIONS = {None: ("none", []), "relu": ("relu", []), "relu6": ("hardtanh", [0.0, 6.0])}
"""activations as oneDNN names them, with their bounds"""


class FusedConv2d(nn.Conv2d):
    """Convolution, then the sum with a residual, then an activation; on a CPU in one pass by oneDNN."""

    activation: str | None = None
    """relu, relu6 or None"""

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """B×C×H×W to B×C'×H'×W'; ``residual`` has the output's shape."""
        # oneDNN computes float16 on few processors
        unfused = not x.is_cpu or x.dtype == torch.float16 or not torch.backends.mkldnn.is_available()
        if unfused or torch.is_grad_enabled() or torch.compiler.is_compiling():
            x = super().forward(x) if residual is None else super().forward(x) + residual
            return x if self.activation is None else F.relu6(x) if self.activation == "relu6" else F.relu(x)
        name, bounds = ONEDNN_ACTIVATIONS[self.activation]
        geometry = (self.padding, self.stride, self.dilation, self.groups)
        pointwise = torch.ops.mkldnn._convolution_pointwise
        if residual is None:
            return pointwise(x, self.weight, self.bias, *geometry, name, bounds, "")
        activation = None if self.activation is None else name
        return pointwise.binary(
            x, residual, self.weight, self.bias, *geometry, "add", 1.0, activation, bounds, None
        )


class FusedBottleneck(nn.Module):
    """Block of ResNet with ReLU and residual sum fused into its convolutions."""

    def __init__(self, block: Bottleneck) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = block.conv1, block.conv2, block.conv3
        self.downsample = block.downsample
        for conv in (self.conv1, self.conv2, self.conv3):
            conv.activation = "relu"

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W to B×C'×H'×W'."""
        residual = x if self.downsample is None else self.downsample(x)
        return self.conv3(self.conv2(self.conv1(x)), residual)


class FusedInvertedResidual(nn.Module):
    """Block of MobileNetV2 with a residual, which its last convolution adds."""

    def __init__(self, block: InvertedResidual) -> None:
        super().__init__()
        *layers, self.last, _ = block.conv
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W to the same."""
        return self.last(self.layers(x), x)


def fuse_encoder(encoder: nn.Module) -> None:
    """Fold every frozen norm into the convolution before it, and fuse what follows, in place."""
    for parent in list(encoder.modules()):
        children = list(parent.named_children())
        for (name, conv), (norm_name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, FrozenBatchNorm2d):
                setattr(parent, name, fold_norm(conv, norm))
                setattr(parent, norm_name, nn.Identity())
    for parent in list(encoder.modules()):
        layers = [
            (name, child) for name, child in parent.named_children() if not isinstance(child, nn.Identity)
        ]
        for (_, conv), (name, activation) in pairwise(layers):
            if isinstance(parent, Bottleneck):  # its activation is shared by three convolutions
                continue
            if isinstance(conv, FusedConv2d) and isinstance(activation, nn.ReLU | nn.ReLU6):
                conv.activation = "relu6" if isinstance(activation, nn.ReLU6) else "relu"
                setattr(parent, name, nn.Identity())
        for name, child in list(parent.named_children()):
            if isinstance(child, Bottleneck):
                setattr(parent, name, FusedBottleneck(child))
            elif isinstance(child, InvertedResidual) and child.use_res_connect:
                setattr(parent, name, FusedInvertedResidual(child))


def fold_norm(conv: nn.Conv2d, norm: FrozenBatchNorm2d) -> FusedConv2d:
    """Return one convolution with constant weights that does both."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    assert conv.bias is None, "a convolution before a norm has no bias"
    fused = to_onednn(conv)
    fused.weight = nn.Parameter((conv.weight * scale[:, None, None, None]).detach(), requires_grad=False)
    fused.bias = nn.Parameter((norm.bias - norm.running_mean * scale).detach(), requires_grad=False)
    return fused


def to_onednn(conv: nn.Conv2d) -> FusedConv2d:
    """Return a convolution with the same weights that oneDNN computes."""
    with torch.device("meta"):
        fused = FusedConv2d(
            conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding,  # type: ignore[arg-type]
            conv.dilation, conv.groups, bias=conv.bias is not None,  # type: ignore[arg-type]
        )  # fmt: skip
    fused.weight, fused.bias = conv.weight, conv.bias
    return fused
