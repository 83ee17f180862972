"""Attention for graphs: exactly that of `networks.attention`, of operations that every runtime has.

What PyTorch is fastest with (views that overlap, writing into them, pieces whose number depends on the sizes) has no
equal in ONNX. Here windows are found by padding and reshaping alone: rows are padded to where the next window begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import torch.nn.functional as F
from torch import Tensor

from aotlab.networks import attention
from aotlab.networks.attention import BLOCK


@contextmanager
def exportable_attention() -> Iterator[None]:
    """Let attention use these functions for a while."""
    own = {"_windows": windows_of, "_spread": spread, "CONVOLVES": False}
    with ExitStack() as stack:
        for name, replacement in own.items():
            stack.enter_context(patch.object(attention, name, replacement))
        yield


def windows_of(x: Tensor, window: int, frames: int) -> Tensor:
    """N×64×(n·side²) to N×8×8×n×window×window: what is in each query's window, as a copy."""
    side = BLOCK + window - 1
    row = frames * side * side
    x = F.pad(x.flatten(1), (0, BLOCK * side)).unflatten(1, (BLOCK, BLOCK * row + side))
    x = x[:, :, : BLOCK * (row + 1)].unflatten(2, (BLOCK, row + 1))[..., :row]
    x = x.unflatten(3, (frames, side * side))[..., : window * side]
    return x.unflatten(4, (window, side))[..., :window]


def spread(weights: Tensor) -> Tensor:
    """The way back: weights of the windows in N×64×(n·side²), 0 elsewhere."""
    window = weights.shape[5]
    side = BLOCK + window - 1
    x = F.pad(weights, (0, BLOCK - 1)).flatten(4)  # window rows as long as the neighbourhood's
    x = F.pad(x, (0, side * side - window * side)).flatten(3)
    x = F.pad(x, (0, 1)).flatten(2)
    x = F.pad(x, (0, side - BLOCK)).flatten(1)
    return x[:, : -BLOCK * side].unflatten(1, (BLOCK * BLOCK, -1))
