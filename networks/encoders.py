"""Image encoders: feature maps of a normalized image at strides 4, 8 and 16, and the last layer's map, also at 16.

All batch norms are frozen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

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

from aotlab.utils.errors import require_modules


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


ENCODER_CLASSES: dict[str, type[Encoder]] = {
    "mobilenet_v2": MobileNetV2,
    "resnet50": ResNet50,
    "resnet101": ResNet101,
    "resnest101": ResNeSt101,
}
"""Encoders by name; those of timm are missing, because it is slow to import."""
