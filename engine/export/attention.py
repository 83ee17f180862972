"""The two attentions for graphs: exactly those of `networks.attention`, of operations that every runtime has.

What PyTorch is fastest with (views that overlap, writing into them, pieces whose number depends on the sizes) has no
equal in ONNX. Here windows are found by padding and reshaping alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks.attention import RelativePosition
from networks.block import Block

BLOCK = 8
"""side in tokens of the query blocks of local attention"""


@contextmanager
def exportable_attention(model: nn.Module) -> Iterator[None]:
    """Let the blocks of a model, and all others of their kinds, use these functions for a while."""
    blocks = [block for block in model.modules() if isinstance(block, Block)]
    modules = {sys.modules[type(block).__module__] for block in blocks}
    own = {"global_attention": global_attention, "local_attention": local_attention}
    before = [
        (module, name, getattr(module, name)) for module in modules for name in own if hasattr(module, name)
    ]
    try:
        for module, name, _ in before:
            setattr(module, name, own[name])
        yield
    finally:
        for module, name, function in before:
            setattr(module, name, function)


def global_attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """As `networks.attention.global_attention`, all queries at once."""
    query = query.unflatten(2, (heads, -1)).transpose(1, 2)
    key = key.unflatten(2, (heads, -1)).transpose(1, 2)
    value = value.unflatten(2, (heads, -1)).transpose(1, 2)
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


def local_attention(
    query: Tensor, key: Tensor, value: Tensor, *, size: tuple[int, int], position: RelativePosition
) -> Tensor:
    """As `networks.attention.local_attention`, for short-term memory of one frame.

    Blocks of 8×8 queries meet all tokens of their neighbourhood. The logits of relative positions, one per query and
    offset, are moved to their places there, with -inf outside the window; the way back gives the weights by offset.
    """
    heads, area, dim = position.weight.shape
    height, width = size
    window = int(area**0.5)
    side = BLOCK + window - 1
    queries = _blocks(query, size, heads, 0)
    keys, values = (_blocks(x, size, heads, window // 2) for x in (key, value))

    # A logit per query and offset, moved to its place in the neighbourhood: along x, then along y.
    bias = (queries @ position.weight.mT + position.bias[:, None]).unflatten(5, (window, window))
    bias = bias.unflatten(4, (BLOCK, BLOCK)).transpose(
        5, 6
    )  # query row, window row, query column, window column
    bias = _shear(bias, 1).permute(0, 1, 2, 3, 6, 4, 5, 7) + _outside(size, window, bias)
    bias = _shear(bias.flatten(6), side).transpose(4, 5).flatten(4, 5)  # query, y·side + x

    scores = torch.baddbmm(bias.flatten(0, 3), queries.flatten(0, 3) * dim**-0.5, keys.flatten(0, 3).mT)
    weights = scores.softmax(2)
    result = torch.bmm(weights, values.flatten(0, 3)).unflatten(0, values.shape[:4])
    if position.value is not None:
        # The way back: the weights of the window's offsets out of the neighbourhood.
        offsets = weights.view_as(bias).unflatten(4, (BLOCK, BLOCK)).transpose(4, 5)
        offsets = _shear(offsets, -side).unflatten(6, (window, side)).permute(0, 1, 2, 3, 5, 6, 4, 7)
        offsets = _shear(offsets, -1).transpose(5, 6).flatten(4, 5).flatten(5)
        result = result + offsets @ position.value.mT
    result = result.unflatten(4, (BLOCK, BLOCK)).permute(0, 1, 4, 2, 5, 3, 6).flatten(5)
    return result.flatten(3, 4).flatten(1, 2)[:, :height, :width].flatten(1, 2)


def _blocks(x: Tensor, size: tuple[int, int], heads: int, reach: int) -> Tensor:
    """Cut tokens B×(H·W)×C into squares of 8 + 2·reach every 8: B×rows×columns×heads×tokens×(C/heads)."""
    height, width = size
    x = x.unflatten(1, size).unflatten(3, (heads, -1))
    x = F.pad(x, (0, 0, 0, 0, reach, -width % BLOCK + reach, reach, -height % BLOCK + reach))
    squares = x.unfold(1, BLOCK + 2 * reach, BLOCK).unfold(2, BLOCK + 2 * reach, BLOCK)
    return squares.permute(0, 1, 2, 3, 5, 6, 4).flatten(4, 5)


def _outside(size: tuple[int, int], window: int, like: Tensor) -> Tensor:
    """A very negative number where a neighbourhood lies outside the map, else 0.

    rows×columns×1×1×8×window×side: block, head, query column, query row, window row, neighbourhood column.
    """
    inside = []
    for length in size:
        starts = torch.arange(0, length, BLOCK, device=like.device)
        places = starts[:, None] + torch.arange(BLOCK + window - 1, device=like.device) - window // 2
        inside.append((places >= 0) & (places < length))
    rows = inside[0].unfold(1, window, 1)  # rows×8×window: the window rows of each query row
    both = rows[:, None, :, :, None] & inside[1][None, :, None, None, :]
    # Finite, so that a query of the padding, which sees nothing but padding, does not become NaN.
    lowest = like.new_full((), torch.finfo(like.dtype).min / 2)
    return torch.where(both, like.new_zeros(()), lowest)[:, :, None, None]


def _shear(x: Tensor, step: int) -> Tensor:
    """Shift row i of the last two axes right by i·step, or undo that with the negative step.

    ...×n×w becomes ...×n×(w + (n-1)·step), filled with -inf. Every row is padded to ``step`` more than the result
    is wide, then all are read with the result's width: each row so starts ``step`` places later than the one
    before, and nothing is indexed.
    """
    rows, width = x.shape[-2:]
    sheared = width + (rows - 1) * step
    if step > 0:
        long = F.pad(x, (0, rows * step), value=float("-inf")).flatten(-2)
        return long[..., : rows * sheared].unflatten(-1, (rows, sheared))
    long = F.pad(x.flatten(-2), (0, -rows * step))
    return long.unflatten(-1, (rows, width - step))[..., :sheared]
