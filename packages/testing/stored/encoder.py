"""Plug-in file with an encoder of a few convolutions, so that stored models take a few kilobytes."""

from torch import nn

from aotlab.sdk import Encoder


class FewConvolutions(Encoder):
    """Maps at strides 4, 8 and 16 of images that count from -1 to 1."""

    channels = (8, 8, 8, 8)

    def __init__(self):
        super().__init__()
        widths, strides = (3, 8, *self.channels), (2, 2, 2, 2, 1)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(first, second, 3, stride, 1), nn.ReLU())
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


encoders = {"few_convolutions": FewConvolutions}
