"""Models for inference: frozen norms folded into convolutions, which also do what follows them."""

from __future__ import annotations

from copy import copy, deepcopy
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.models.resnet import Bottleneck

from aotlab.networks.encoders import FrozenNormConv2d, ResNet50
from aotlab.networks.kernels.convolutions import RELU, RELU6, FoldedConv2d
from aotlab.networks.model import Model
from aotlab.networks.prompts import PromptNetwork
from aotlab.networks.vos_model import VOSModel


def folded(model: Model) -> Model:
    """A model for inference, its encoder's frozen norms folded into its convolutions; the rest is shared.

    Exported graphs are returned as they are.
    """
    if not isinstance(model, VOSModel):
        return model
    result: VOSModel = _with_folded_encoder(model)
    if model.prompts is not None:
        result._modules["prompts"] = _with_folded_encoder(model.prompts)
    return result


def _with_folded_encoder(module: VOSModel | PromptNetwork) -> Any:
    """A copy of a module that has an encoder; all other modules are shared."""
    result = copy(module)
    result._modules = {**module._modules, "encoder": fold_norms(module.encoder)}
    return result


def is_folded(model: nn.Module) -> bool:
    """Whether a model has folded convolutions, whose weights no checkpoint holds."""
    return any(isinstance(module, FoldedConv2d) for module in model.modules())


def fold_norms(encoder: nn.Module) -> nn.Module:
    """A copy of an encoder for inference, with all weights but the folded ones shared.

    Every `FrozenNormConv2d` is folded, with the activations and sums of residuals that follow.
    """
    tensors = [*encoder.parameters(), *encoder.buffers()]
    encoder = deepcopy(encoder, {id(tensor): tensor for tensor in tensors})
    for parent in list(encoder.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, FrozenNormConv2d):
                setattr(parent, name, _folded_conv(child))
    for parent in list(encoder.modules()):
        if isinstance(parent, nn.Sequential | ResNet50):
            _join_activations(parent)
        for name, child in list(parent.named_children()):
            if isinstance(child, Bottleneck):
                setattr(parent, name, FoldedBottleneck(child))
            elif isinstance(child, InvertedResidual) and child.use_res_connect:
                setattr(parent, name, FoldedInvertedResidual(child))
    return encoder


def _join_activations(module: nn.Module) -> None:
    """Leave the activation behind a folded convolution, in a module whose children run in their order, to it."""
    children = [
        (name, child) for name, child in module.named_children() if not isinstance(child, nn.Identity)
    ]
    for (_, conv), (name, activation) in pairwise(children):
        if isinstance(conv, FoldedConv2d) and isinstance(activation, nn.ReLU | nn.ReLU6):
            conv.activation = RELU6 if isinstance(activation, nn.ReLU6) else RELU
            setattr(module, name, nn.Identity())


def _folded_conv(conv: FrozenNormConv2d) -> FoldedConv2d:
    """A convolution with constant weights that includes the norm."""
    kernel, shift = conv.scaled()
    with torch.device("meta"):
        result = FoldedConv2d(
            conv.in_channels, conv.out_channels, conv.kernel_size,  # type: ignore[arg-type]
            conv.stride, conv.padding, conv.dilation, conv.groups,  # type: ignore[arg-type]
        )  # fmt: skip
    result.weight, result.bias = (nn.Parameter(x.detach(), requires_grad=False) for x in (kernel, shift))
    return result


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
