"""Plug-in file with an encoder of a few convolutions, for small models of tests."""

from torch import nn
from torchvision.ops import Conv2dNormActivation, FrozenBatchNorm2d

from aotlab.networks.encoders import Encoder


class TinyEncoder(Encoder):
    """Five convolutions, which are built and saved in a hundredth of the time of MobileNetV2."""

    channels = (8, 12, 16, 32)

    def __init__(self):
        super().__init__()
        widths, strides = (3, 8, *self.channels), (2, 2, 2, 2, 1)
        self.layers = nn.ModuleList(
            Conv2dNormActivation(first, second, stride=stride, norm_layer=FrozenBatchNorm2d, activation_layer=nn.ReLU6)
            for first, second, stride in zip(widths, widths[1:], strides, strict=False)
        )

    @property
    def freezable_parts(self):
        return list(self.layers)

    @property
    def recomputable_blocks(self):
        return list(self.layers)

    def forward(self, image):
        maps = [image]
        for layer in self.layers:
            maps.append(layer(maps[-1]))
        return maps[2:]


encoders = {"tiny": TinyEncoder}
