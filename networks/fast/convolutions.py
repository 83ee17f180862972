"""Convolutions with the frozen norm after them folded in; in tracking also activation and residual sum."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.ops import FrozenBatchNorm2d

from aotlab.networks.encoders import MobileNetV2, ResNeSt101, ResNet50, ResNet101

ONEDNN_ACTIVATIONS = {None: ("none", []), "relu": ("relu", []), "relu6": ("hardtanh", [0.0, 6.0])}
"""Activations as oneDNN names them, with their bounds."""


class FusedConv2d(nn.Conv2d):
    """Convolution, then the sum with a residual, then an activation; on a CPU in one pass by oneDNN."""

    activation: str | None = None
    """Name of the activation: relu, relu6 or None."""

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Map B×C×H×W to B×C'×H'×W'; ``residual`` has the output's shape."""
        fused = x.is_cpu and not torch.is_grad_enabled() and _is_fast(x.dtype)
        if torch.compiler.is_compiling() or not fused:
            x = super().forward(x)
            if residual is not None:
                x = x + residual
            if self.activation == "relu":
                return F.relu(x)
            if self.activation == "relu6":
                return F.relu6(x)
            return x
        name, bounds = ONEDNN_ACTIVATIONS[self.activation]
        geometry = (self.padding, self.stride, self.dilation, self.groups)
        pointwise = torch.ops.mkldnn._convolution_pointwise
        if residual is None:
            return pointwise(x, self.weight, self.bias, *geometry, name, bounds, "")
        activation = None if self.activation is None else name
        return pointwise.binary(x, residual, self.weight, self.bias, *geometry, "add", 1.0, activation, bounds, None)


def _is_fast(dtype: torch.dtype) -> bool:
    """Return whether oneDNN computes convolutions of a type on this processor; of float16 on few."""
    if dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return dtype == torch.float32 and torch.backends.mkldnn.is_available()


class FusedBottleneck(nn.Module):
    """Block of ResNet or ResNeSt with norms, ReLU and residual sum fused into its convolutions."""

    def __init__(self, block: Any, conv2: nn.Module) -> None:
        """``conv2``: all between the first and the last convolution, fused."""
        super().__init__()
        self.conv1 = fuse_norm(block.conv1, block.bn1, "relu")
        self.conv2 = conv2
        self.conv3 = fuse_norm(block.conv3, block.bn3, "relu")
        self.downsample: nn.Module | None = None
        if block.downsample is not None:
            *pool, conv, norm = block.downsample
            self.downsample = nn.Sequential(*pool, fuse_norm(conv, norm))

    def forward(self, x: Tensor) -> Tensor:
        """Map B×C×H×W to B×C'×H'×W'."""
        residual = x if self.downsample is None else self.downsample(x)
        return self.conv3(self.conv2(self.conv1(x)), residual)


class FusedInvertedResidual(nn.Module):
    """Block of MobileNetV2 with norms, ReLU6 and residual sum fused into its convolutions."""

    def __init__(self, block: InvertedResidual) -> None:
        super().__init__()
        *layers, last, norm = block.conv
        self.layers = nn.Sequential(*(fuse_norm(conv, bn, "relu6") for conv, bn, _ in layers))
        self.last = fuse_norm(last, norm)
        self.residual = block.use_res_connect

    def forward(self, x: Tensor) -> Tensor:
        """Map B×C×H×W to B×C'×H'×W'."""
        return self.last(self.layers(x), x if self.residual else None)


def fuse_resnet(encoder: ResNet50) -> None:
    """Fuse the stem and the blocks of every layer, in place."""
    encoder.conv1 = fuse_norm(encoder.conv1, encoder.bn1, "relu")
    encoder.bn1, encoder.relu = nn.Identity(), nn.Identity()
    for layer in (encoder.layer1, encoder.layer2, encoder.layer3):
        for index, block in enumerate(layer):
            layer[index] = FusedBottleneck(block, fuse_norm(block.conv2, block.bn2, "relu"))


def fuse_resnest(encoder: ResNeSt101) -> None:
    """Fuse the stem and the blocks of every layer, in place."""
    conv1, norm1, _, conv2, norm2, _, conv3 = encoder.conv1
    stem = (conv1, norm1), (conv2, norm2), (conv3, encoder.bn1)
    encoder.conv1 = nn.Sequential(*(fuse_norm(conv, norm, "relu") for conv, norm in stem))
    encoder.bn1, encoder.relu = nn.Identity(), nn.Identity()
    for layer in (encoder.layer1, encoder.layer2, encoder.layer3):
        for index, block in enumerate(layer):
            split = block.conv2
            split.conv, split.fc1 = fuse_norm(split.conv, split.bn0, "relu"), fuse_norm(split.fc1, split.bn1, "relu")
            split.bn0, split.act0, split.bn1, split.act1 = (nn.Identity() for _ in range(4))
            layer[index] = FusedBottleneck(block, nn.Sequential(split, block.avd_last or nn.Identity()))


def fuse_mobilenet(encoder: MobileNetV2) -> None:
    """Fuse every block and the convolutions around them, in place."""
    for index, block in enumerate(encoder.features):
        if isinstance(block, InvertedResidual):
            encoder.features[index] = FusedInvertedResidual(block)
        else:
            encoder.features[index] = fuse_norm(block[0], block[1], "relu6")


FUSIONS: dict[type[nn.Module], Callable] = {
    ResNet50: fuse_resnet,
    ResNet101: fuse_resnet,
    ResNeSt101: fuse_resnest,
    MobileNetV2: fuse_mobilenet,
}
"""Encoders whose order of layers is known; others are not changed."""


def fuse_encoders(model: nn.Module) -> None:
    """Fold the frozen norms, activations and sums of a model's encoders into their convolutions, in place."""
    for module in list(model.modules()):
        if type(module) in FUSIONS:
            FUSIONS[type(module)](module)


def fuse_norm(conv: nn.Conv2d, norm: FrozenBatchNorm2d, activation: str | None = None) -> FusedConv2d:
    """Return convolution, norm and activation as one convolution with constant weights."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    fused = to_onednn(conv)
    fused.weight = nn.Parameter((conv.weight * scale[:, None, None, None]).detach(), requires_grad=False)
    mean = norm.running_mean if conv.bias is None else norm.running_mean - conv.bias
    fused.bias = nn.Parameter((norm.bias - mean * scale).detach(), requires_grad=False)
    fused.activation = activation
    return fused


def to_onednn(conv: nn.Conv2d) -> FusedConv2d:
    """Return a convolution with the same weights that oneDNN computes; its padding is zeros."""
    with torch.device("meta"):
        fused = FusedConv2d(
            conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding,  # type: ignore[arg-type]
            conv.dilation, conv.groups, bias=conv.bias is not None,  # type: ignore[arg-type]
        )  # fmt: skip
    fused.weight, fused.bias = conv.weight, conv.bias
    return fused


def replace_convolutions(network: nn.Module) -> None:
    """Replace a network's convolutions by those of `to_onednn`, in place."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Conv2d and child.padding_mode == "zeros":
                setattr(parent, name, to_onednn(child))


def is_slow_in_bfloat16(conv: nn.Conv2d) -> bool:
    """Return whether oneDNN's gradient in bfloat16 takes up to five times as long.

    That of depthwise convolutions with strides, dilations or kernels above 3×3 does.
    """
    is_plain = max(*conv.stride, *conv.dilation) == 1 and max(conv.kernel_size) <= 3
    return not is_plain and conv.groups >= conv.in_channels


def convolve(conv: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Map B×C×H×W to B×C'×H'×W' in training, in float32 on a CPU under autocast if that is faster."""
    geometry: Any = (conv.stride, conv.padding, conv.dilation, conv.groups)
    if not (x.is_cpu and torch.is_autocast_enabled("cpu") and is_slow_in_bfloat16(conv)):
        return F.conv2d(x, weight, bias, *geometry)
    with torch.autocast("cpu", enabled=False):
        return F.conv2d(x.float(), weight, bias, *geometry).to(torch.get_autocast_dtype("cpu"))


def forward_trained(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Return a convolution's output by `convolve`."""
    return convolve(conv, x, conv.weight, conv.bias)


def forward_with_norm(conv: nn.Conv2d, norm: FrozenBatchNorm2d, x: Tensor) -> Tensor:
    """Return the output of a convolution without bias and of the frozen norm after it."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return convolve(conv, x, conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale)


def return_input(x: Tensor) -> Tensor:
    """Return the input, in place of a norm that the convolution before it applies."""
    return x


def train_convolutions(network: nn.Module) -> None:
    """Let slow convolutions train in float32 on CPUs, in place; parameters and their names are kept."""
    for module in network.modules():
        if type(module) is nn.Conv2d and module.padding_mode == "zeros" and is_slow_in_bfloat16(module):
            module.forward = partial(forward_trained, module)  # type: ignore[method-assign]


def fold_training_norms(encoder: nn.Module) -> None:
    """Let the convolutions of one of `FUSIONS` apply the frozen norms after them, in place; names are kept."""
    for parent in encoder.modules() if type(encoder) in FUSIONS else ():
        for conv, norm in pairwise(parent.children()):
            if type(conv) is nn.Conv2d and type(norm) is FrozenBatchNorm2d and conv.bias is None:
                conv.forward = partial(forward_with_norm, conv, norm)  # type: ignore[method-assign]
                norm.forward = return_input  # type: ignore[method-assign]
