"""Image encoders: maps at strides 4, 8, 16 and 16 of a normalised image.

All share one contract: ``forward(image B×3×H×W) -> [4x, 8x, 16x, last 16x]``, ``channels`` of the four maps,
and ``stages``: their parts from the image on, for freezing. Batch norms are frozen everywhere.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2, resnet50
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.models.resnet import Bottleneck
from torchvision.ops import FrozenBatchNorm2d

from aotlab.utils.errors import InputError


class MobileNetV2(nn.Module):
    """MobileNetV2 at output stride 16: the last strided row is dilated instead (Sandler et al. 2018)."""

    channels = (24, 32, 96, 1280)

    def __init__(self) -> None:
        super().__init__()
        self.features = mobilenet_v2(weights=None, norm_layer=FrozenBatchNorm2d).features
        # The first block of the 160 row loses its stride, the blocks after it get dilation 2.
        for index in range(14, 18):
            depthwise = self.features[index].conv[1][0]
            depthwise.stride = (1, 1)
            if index > 14:
                depthwise.dilation = depthwise.padding = (2, 2)
        self.ends = (4, 7, 14, 19)

    @property
    def stages(self) -> list[nn.Module]:
        """Parts in order: the stem, the stride-4 rows, the rest."""
        return [self.features[0], self.features[1:4], self.features[4:]]

    def forward(self, image: Tensor) -> list[Tensor]:
        """B×3×H×W to maps of 24, 32, 96 and 1280 channels."""
        maps, x = [], image
        for index, layer in enumerate(self.features, start=1):
            x = layer(x)
            if index in self.ends:
                maps.append(x)
        return maps


class ResNet50(nn.Module):
    """ResNet-50 up to stride 16; the last map is given twice."""

    channels = (256, 512, 1024, 1024)

    def __init__(self) -> None:
        super().__init__()
        net = resnet50(weights=None, norm_layer=FrozenBatchNorm2d)
        self.conv1, self.bn1, self.relu, self.maxpool = net.conv1, net.bn1, net.relu, net.maxpool
        self.layer1, self.layer2, self.layer3 = net.layer1, net.layer2, net.layer3

    @property
    def stages(self) -> list[nn.Module]:
        """Parts in order: the stem, then the layers."""
        return [self.conv1, self.layer1, self.layer2, self.layer3]

    def forward(self, image: Tensor) -> list[Tensor]:
        """B×3×H×W to maps of 256, 512, 1024 and 1024 channels."""
        f4 = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(image)))))
        f8 = self.layer2(f4)
        f16 = self.layer3(f8)
        return [f4, f8, f16, f16]


def _build_swin_base() -> nn.Module:
    """Swin-B; timm, whose import takes as long as a frame, is imported only for models that have it."""
    from aotlab.networks.swin import SwinBase

    return SwinBase()


ENCODERS: dict[str, Callable[[], nn.Module]] = {
    "mobilenet_v2": MobileNetV2,
    "resnet50": ResNet50,
    "swin_base": _build_swin_base,
}


def build_encoder(name: str) -> nn.Module:
    """The encoder called ``name``, randomly initialised; raises `InputError` for an unknown name."""
    if name not in ENCODERS:
        raise InputError(f"model.encoder must be one of {', '.join(ENCODERS)}, got {name}")
    return ENCODERS[name]()


def freeze_stages(encoder: nn.Module, count: int) -> None:
    """Freeze the first ``count`` stages of an encoder."""
    stages: list[nn.Module] = encoder.stages  # type: ignore[assignment]
    for stage in stages[:count]:
        stage.requires_grad_(False)


def list_checkpointed_blocks(encoder: nn.Module) -> list[nn.Module]:
    """The trained blocks that an encoder repeats, whose activations may be computed twice."""
    from timm.models.swin_transformer import SwinTransformerBlock

    repeated = (InvertedResidual, Bottleneck, SwinTransformerBlock)
    blocks = [module for module in encoder.modules() if isinstance(module, repeated)]
    return [block for block in blocks if any(weight.requires_grad for weight in block.parameters())]


def load_torchvision_weights(name: str) -> dict[str, Tensor]:
    """ImageNet weights of an encoder in torchvision's key names; raises `ValueError` if torchvision lacks them."""
    if name not in ("mobilenet_v2", "resnet50"):
        raise ValueError(f"torchvision has no weights for {name}; give a file as train.encoder_weights")
    build = mobilenet_v2 if name == "mobilenet_v2" else resnet50
    with torch.no_grad():
        return build(weights="IMAGENET1K_V1").state_dict()
