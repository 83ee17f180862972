"""Image encoders: feature maps of a normalized image at strides 4, 8 and 16, and the last layer's map, also at 16.

All batch norms are frozen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pkgutil import resolve_name

import torch
from torch import Tensor, nn
from torchvision.models import (
    MobileNet_V2_Weights,
    ResNet50_Weights,
    ResNet101_Weights,
    WeightsEnum,
    mobilenet_v2,
    resnet50,
    resnet101,
)
from torchvision.ops import FrozenBatchNorm2d

from aotlab.configs.schema import TIMM_PREFIX
from aotlab.utils.errors import require, require_modules
from aotlab.utils.plugins import ENCODER_PLUGINS, describe_object, find_plugin


class Encoder(nn.Module, ABC):
    """Base of encoders: map an image B×3×H×W to maps at strides 4, 8, 16, and the last layer's output (stride 16)."""

    channels: tuple[int, int, int, int]
    """Channels of the four maps."""
    torchvision_weights: WeightsEnum | None = None
    """Torchvision's ImageNet weights, if it has the encoder."""

    @property
    @abstractmethod
    def freezable_parts(self) -> list[nn.Module]:
        """Parts in order from the input, which training may freeze."""

    @abstractmethod
    def forward(self, image: Tensor) -> list[Tensor]:
        """Map a normalized image B×3×H×W to the four maps, B×C×h×w."""

    @property
    def recomputable_blocks(self) -> list[nn.Module]:
        """Blocks whose activations the backward pass may compute again, which saves memory in training."""
        return []


class MobileNetV2(Encoder):
    """MobileNetV2 at output stride 16: its last stride is replaced by dilation (Sandler et al. 2018)."""

    channels = (24, 32, 96, 1280)
    torchvision_weights = MobileNet_V2_Weights.IMAGENET1K_V1

    def __init__(self) -> None:
        super().__init__()
        self.features = mobilenet_v2(weights=None, norm_layer=FrozenBatchNorm2d).features
        # the first block with 160 channels loses its stride, later blocks get dilation 2
        for index in range(14, 18):
            depthwise = self.features[index].conv[1][0]
            depthwise.stride = (1, 1)
            if index > 14:
                depthwise.dilation = depthwise.padding = (2, 2)

    @property
    def freezable_parts(self) -> list[nn.Module]:
        """Parts in order: the stem, the layers at stride 4, the rest."""
        return [self.features[0], self.features[1:4], self.features[4:]]

    @property
    def recomputable_blocks(self) -> list[nn.Module]:
        return list(self.features[1:-1])

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map B×3×H×W to maps of 24, 32, 96 and 1280 channels."""
        f4 = self.features[:4](image)
        f8 = self.features[4:7](f4)
        f16 = self.features[7:14](f8)
        return [f4, f8, f16, self.features[14:](f16)]


class ResNet50(Encoder):
    """ResNet-50 up to stride 16; the last map is returned twice."""

    channels = (256, 512, 1024, 1024)
    torchvision_weights = ResNet50_Weights.IMAGENET1K_V1
    build = staticmethod(resnet50)

    def __init__(self) -> None:
        super().__init__()
        net = self.build(weights=None, norm_layer=FrozenBatchNorm2d)
        self.conv1, self.bn1, self.relu, self.maxpool = net.conv1, net.bn1, net.relu, net.maxpool
        self.layer1, self.layer2, self.layer3 = net.layer1, net.layer2, net.layer3

    @property
    def freezable_parts(self) -> list[nn.Module]:
        """Parts in order: the stem, then the layers."""
        return [self.conv1, self.layer1, self.layer2, self.layer3]

    @property
    def recomputable_blocks(self) -> list[nn.Module]:
        return [*self.layer1, *self.layer2, *self.layer3]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map B×3×H×W to maps of 256, 512, 1024 and 1024 channels."""
        f4 = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(image)))))
        f8 = self.layer2(f4)
        f16 = self.layer3(f8)
        return [f4, f8, f16, f16]


class ResNet101(ResNet50):
    """ResNet-101 up to stride 16; the last map is returned twice."""

    torchvision_weights = ResNet101_Weights.IMAGENET1K_V1
    build = staticmethod(resnet101)


class ResNeSt101(ResNet50):
    """ResNeSt-101 up to stride 16, from timm's parts; the last map is returned twice (Zhang et al. 2020)."""

    torchvision_weights = None

    @staticmethod
    def build(weights: None, norm_layer: type[FrozenBatchNorm2d]) -> nn.Module:
        """Build the layers, without the fourth stage and classifier."""
        require_modules("timm")
        from timm.models.resnest import resnest101e

        def norm(channels: int, **_: None) -> nn.Module:  # timm also gives a device and a type
            return norm_layer(channels)

        stages = {"layers": (3, 4, 23), "channels": (64, 128, 256)}
        net = resnest101e(num_classes=0, norm_layer=norm, zero_init_last=False, **stages)
        net.relu = net.act1
        return net


class SwinBase(Encoder):
    """Three stages of Swin-B, each output with its own LayerNorm; the last map is returned twice (Liu et al. 2021)."""

    channels = (128, 256, 512, 512)

    def __init__(self) -> None:
        super().__init__()
        require_modules("timm")
        from aotlab.networks.swin import build_layers  # slow, because it imports timm

        self.patch_embed, self.layers, self.downsamples = build_layers(self.channels[:3])
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for dim in self.channels[:3])

    @property
    def freezable_parts(self) -> list[nn.Module]:
        """Parts in order: the patch embedding, then the stages."""
        return [self.patch_embed, *self.layers]

    @property
    def recomputable_blocks(self) -> list[nn.Module]:
        return [block for layer in self.layers for block in layer.children()]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map B×3×H×W to maps of 128, 256, 512 and 512 channels."""
        maps = []
        x = self.patch_embed(image)
        for stage, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = layer(x)
            maps.append(norm(x).permute(0, 3, 1, 2))
            if stage < len(self.downsamples):
                x = self.downsamples[stage](x)
        return [*maps, maps[-1]]


ENCODER_CLASSES: dict[str, type[Encoder]] = {
    "mobilenet_v2": MobileNetV2,
    "resnet50": ResNet50,
    "resnet101": ResNet101,
    "resnest101": ResNeSt101,
    "swin_base": SwinBase,
}
"""Encoders by name."""


def build_encoder(name: str) -> Encoder:
    """Return an encoder with random weights; ``timm:NAME`` is one of timm."""
    if name.startswith(TIMM_PREFIX):
        require_modules("timm")
        kind: type[Encoder] = resolve_name(f"{__package__}.timm_encoder:TimmEncoder")  # its module imports timm
        return kind(name.removeprefix(TIMM_PREFIX))  # type: ignore[call-arg]
    encoder: Encoder = ENCODER_CLASSES[name]() if name in ENCODER_CLASSES else find_plugin(ENCODER_PLUGINS, name)()
    return encoder


@torch.no_grad()  # not inference mode: tensors that the encoder stores must work in training
def require_maps(encoder: Encoder, *, align_corners: bool) -> None:
    """Raise `InputError` unless an encoder maps a small image to the four maps of `Encoder.forward`."""
    height, width = (65, 49) if align_corners else (64, 48)
    modes = [(module, module.training) for module in encoder.modules()]
    maps = encoder.eval()(torch.zeros(1, 3, height, width))
    for module, mode in modes:
        module.training = mode
    subject, count = describe_object(encoder), len(encoder.channels)
    is_list = isinstance(maps, Sequence)
    found = f"{len(maps)} maps" if is_list else f"a {type(maps).__name__}"
    require(is_list and len(maps) == 4, f"forward returns {found}", subject=subject, remedy="expected a list of four")
    require(count == 4, f"channels has {count} values", subject=subject, remedy="expected four, one for each map")
    for number, (tensor, channels, stride) in enumerate(zip(maps, encoder.channels, (4, 8, 16, 16), strict=True), 1):
        shape, expected = tensor.shape[1:], (channels, -(-height // stride), -(-width // stride))
        problem = f"map {number} of an image of {height}×{width} is {'×'.join(map(str, shape))}"
        require(shape == expected, problem, subject=subject, remedy=f"expected {'×'.join(map(str, expected))}")
