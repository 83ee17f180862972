"""The identity bank (AOT, section 4.1)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.configs.schema import ModelConfig
from aotlab.networks.layers import map_to_tokens


class IdentityBank(nn.Conv2d):
    """Learned vectors of background and M identities, summed over a patch's pixels: a patch-wise convolution of masks.

    The kernel has one pixel more than the patch if the model aligns corners, which centres each patch on its token.
    """

    def __init__(self, config: ModelConfig, dim: int, stride: int, patch: int | None = None) -> None:
        """Create the bank.

        Args:
            config: number of identities, whether there is a plane to ignore, alignment of corners.
            dim: C, width of the embedding.
            stride: pixels per token.
            patch: pixels per patch, at least ``stride``; None: ``stride``.
        """
        patch = stride if patch is None else patch
        kernel = patch + 1 if config.align_corners else patch
        planes = config.max_objects + 1 + config.ignore_plane
        super().__init__(planes, dim, kernel, patch, padding=patch // 2 if config.align_corners else 0)
        self.token_stride = stride
        # Unit rows before the gain, so that a patch of one object embeds to the same norm at every stride.
        nn.init.orthogonal_(self.weight.view(dim, -1), gain=(17 if config.align_corners else 16) ** -2)

    def forward(self, masks: Tensor) -> Tensor:
        """Masks B×(m+1)×H×W, one-hot or soft, background first, m at most the planes of the bank, to B×L×C."""
        kernel = self.weight[:, : masks.shape[1]]  # identities without an object add nothing
        embedding = F.conv2d(masks, kernel, self.bias, self.stride, self.padding)
        if self.stride[0] > self.token_stride:
            size = [-(-side // self.token_stride) for side in masks.shape[2:]]
            embedding = F.interpolate(embedding, size, mode="nearest")
        return map_to_tokens(embedding)
