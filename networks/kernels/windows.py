"""Windows of local attention as parts of a block's padded neighbourhood, by views or by padding.

Queries come in blocks of 8×8, each with a neighbourhood of side 8 + window - 1. One query further, its window lies one
token further, so windows are strided views (AOT, section 4.3, without a copy per query). Views that overlap have no
equal in ONNX; the padded versions find and write windows only by padding and reshaping: rows are padded to where the
next window begins.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from aotlab.networks.operations import Operation

BLOCK = 8
"""side in tokens of the blocks of queries"""


def _fits(name: str, *_: object) -> bool:
    """Padding and reshaping is only for graphs."""
    return name == "plain"


@Operation
def windows(x: Tensor, window: int, frames: int) -> Tensor:
    """Contiguous N×64×(n·side²), of queries and neighbours, to each query's N×8×8×n×window×window."""
    side = BLOCK + window - 1
    row = frames * side * side
    steps = (BLOCK * BLOCK * row, BLOCK * row + side, row + 1, side * side, side, 1)
    return x.as_strided((len(x), BLOCK, BLOCK, frames, window, window), steps)


def _padded_windows(x: Tensor, window: int, frames: int) -> Tensor:
    side = BLOCK + window - 1
    row = frames * side * side
    x = F.pad(x.flatten(1), (0, BLOCK * side)).unflatten(1, (BLOCK, BLOCK * row + side))
    x = x[:, :, : BLOCK * (row + 1)].unflatten(2, (BLOCK, row + 1))[..., :row]  # N×8×8×(n·side²)
    x = x.unflatten(3, (frames, side * side))[..., : window * side]
    return x.unflatten(4, (window, side))[..., :window]


windows.add({"padded": _padded_windows}, fits=_fits)


@Operation
def spread(weights: Tensor) -> Tensor:
    """The way back: weights N×8×8×n×window×window of the windows to N×64×(n·side²), 0 elsewhere.

    In memory, queries come before blocks, which is best for `products.batch`.
    """
    count, _, _, frames, window, _ = weights.shape
    side = BLOCK + window - 1
    row = frames * side * side
    result = weights.new_zeros(BLOCK * BLOCK, count, row)
    steps = (row, BLOCK * count * row + side, count * row + 1, side * side, side, 1)
    result.as_strided(weights.shape, steps).copy_(weights)
    return result.transpose(0, 1)  # N×64×(n·side²)


def _padded_spread(weights: Tensor) -> Tensor:
    window = weights.shape[5]
    side = BLOCK + window - 1
    x = F.pad(weights, (0, BLOCK - 1)).flatten(4)  # window rows as long as the neighbourhood's
    x = F.pad(x, (0, side * side - window * side)).flatten(3)
    x = F.pad(x, (0, 1)).flatten(2)
    x = F.pad(x, (0, side - BLOCK)).flatten(1)
    return x[:, : -BLOCK * side].unflatten(1, (BLOCK * BLOCK, -1))  # N×64×(n·side²)


spread.add({"padded": _padded_spread}, fits=_fits)
