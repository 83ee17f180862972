"""Identity bank (AOT, section 4.1)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.networks.layers import map_to_tokens


class IdentityBank(nn.Conv2d):
    """Identity embedding E = Y·P·D of masks Y and the bank D, as a patch-wise convolution.

    A row of the bank is an identity: a learned vector per pixel of a patch, for the background and each of M objects.
    The permutation P shuffles objects in training; callers apply it to Y.
    """

    def __init__(
        self, in_channels: int, dim: int, token_stride: int = 16, patch: int | None = None, *, align_corners: bool
    ) -> None:
        """Create the bank.

        Args:
            in_channels: channels of the masks.
            dim: C, width of the embedding.
            token_stride: pixels per token.
            patch: pixels per patch, the convolution's stride, ``token_stride`` if None; one embedding serves all
                tokens that its patch covers.
            align_corners: whether the kernel has one pixel more than the patch, which centers patches on tokens.
        """
        patch = token_stride if patch is None else patch
        kernel = patch + 1 if align_corners else patch
        super().__init__(in_channels, dim, kernel, patch, padding=patch // 2 if align_corners else 0)
        self.token_stride = token_stride
        # The published gain, 1 / (kernel size)² at stride 16. It is the same at every stride, so that a patch that
        # one object fills has an embedding of the same norm.
        nn.init.orthogonal_(self.weight.view(dim, -1), gain=(17 if align_corners else 16) ** -2)

    def forward(self, masks: Tensor) -> Tensor:
        """Map masks B×(m+1)×H×W, one-hot or soft, background first, m+1 at most ``in_channels``, to B×L×C."""
        kernel = self.weight[:, : masks.shape[1]]  # identities without an object add nothing
        embedding = F.conv2d(masks.to(kernel.dtype), kernel, self.bias, self.stride, self.padding)
        if self.stride[0] > self.token_stride:
            size = [math.ceil(side / self.token_stride) for side in masks.shape[2:]]
            embedding = F.interpolate(embedding, size, mode="nearest")
        return map_to_tokens(embedding)


def one_hot(labels: Tensor, channels: int) -> Tensor:
    """Convert labels (...)×H×W, integers, to masks (...)×channels×H×W floats, channels last in memory.

    Pixels of larger labels, such as 255, are 0 in all channels.
    """
    # the last row is for larger labels
    table = torch.eye(channels + 1, channels, dtype=torch.float32, device=labels.device)
    return F.embedding(labels.long().clamp(max=channels), table).movedim(-1, -3)
