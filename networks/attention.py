"""The two attentions of the family: global over memory tokens, local over a window of a map.

Both take queries, keys and values with heads folded into channels and say nothing about where they come from.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 8
"""side in tokens of the query blocks of local attention"""


def global_attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Softmax attention of every query over all keys, scaled by 1/sqrt(dim / heads).

    query: B×L×C; key: B×S×C; value: B×S×D. Returns B×L×D.
    """
    query = query.unflatten(2, (heads, -1)).transpose(1, 2)
    key = key.unflatten(2, (heads, -1)).transpose(1, 2)
    value = value.unflatten(2, (heads, -1)).transpose(1, 2)
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


class RelativePosition(NamedTuple):
    """What local attention learns about the offset from a query to a key.

    weight: heads×window²×(C/heads), bias: heads×window²; they turn the unscaled query into a logit per offset.
    value: heads×(D/heads)×window², added to the values; None for none.
    """

    weight: Tensor
    bias: Tensor
    value: Tensor | None


def local_attention(
    query: Tensor, key: Tensor, value: Tensor, *, size: tuple[int, int], position: RelativePosition
) -> Tensor:
    """Attention of every token of a map over the window around it, with relative positions (AOT, section 4.3).

    Exact, without a copy of keys or values per query: queries are taken in blocks of 8×8, each against its own
    padded neighbourhood, and the logits of a window are moved to their places there by padding alone.

    query: B×L×C, unscaled; key: B×(n·L)×C and value: B×(n·L)×D of n frames, whose windows are read as one; size:
    (H, W) of the map, L = H·W, row-major; position: of the window, the same in all frames, which also tells its
    side and the number of heads. Returns B×L×D.
    """
    heads, area, dim = position.weight.shape
    height, width = size
    window, frames = int(area**0.5), key.shape[1] // query.shape[1]
    side = BLOCK + window - 1
    queries = _blocks(query, size, heads, 0)
    keys, values = _blocks(key, size, heads, window // 2), _blocks(value, size, heads, window // 2)

    # A logit per query and offset, moved to its place in the neighbourhood: along x, then along y.
    bias = (queries @ position.weight.mT + position.bias[:, None]).unflatten(5, (window, window))
    bias = _shear(
        bias.unflatten(4, (BLOCK, BLOCK)).transpose(5, 6), 1
    )  # query row, window row, query column, x
    bias = bias.permute(0, 1, 2, 3, 6, 4, 5, 7) + _outside(size, window, bias.dtype, bias.device)
    bias = _shear(bias.flatten(6), side).transpose(4, 5).flatten(4, 5)  # query, y·side + x

    everywhere = bias.flatten(0, 3).unsqueeze(2).expand(-1, -1, frames, -1).flatten(2)
    scores = torch.baddbmm(everywhere, queries.flatten(0, 3) * dim**-0.5, keys.flatten(0, 3).mT)
    weights = scores.softmax(2)
    result = torch.bmm(weights, values.flatten(0, 3)).unflatten(0, values.shape[:4])
    if position.value is not None:
        # The way back: the weights of the window's offsets out of the neighbourhood.
        offsets = weights if frames == 1 else weights.unflatten(2, (frames, -1)).sum(2)
        offsets = offsets.view_as(bias).unflatten(4, (BLOCK, BLOCK)).transpose(4, 5)
        offsets = _shear(offsets, -side).unflatten(6, (window, side)).permute(0, 1, 2, 3, 5, 6, 4, 7)
        offsets = _shear(offsets, -1).transpose(5, 6).flatten(4, 5).flatten(5)
        result = result + offsets @ position.value.mT
    result = result.unflatten(4, (BLOCK, BLOCK)).permute(0, 1, 4, 2, 5, 3, 6).flatten(5)
    return result.flatten(3, 4).flatten(1, 2)[:, :height, :width].flatten(1, 2)


def _blocks(x: Tensor, size: tuple[int, int], heads: int, reach: int) -> Tensor:
    """Cut tokens B×(n·H·W)×C into squares of 8 + 2·reach every 8: B×rows×columns×heads×(n·tokens)×(C/heads)."""
    height, width = size
    x = x.unflatten(1, (-1, *size)).unflatten(4, (heads, -1))
    x = F.pad(x, (0, 0, 0, 0, reach, -width % BLOCK + reach, reach, -height % BLOCK + reach))
    squares = x.unfold(2, BLOCK + 2 * reach, BLOCK).unfold(3, BLOCK + 2 * reach, BLOCK)
    return squares.permute(0, 2, 3, 4, 1, 6, 7, 5).flatten(4, 6)


@lru_cache(maxsize=64)
def _outside(size: tuple[int, int], window: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A very negative number where a neighbourhood lies outside the map, else 0.

    rows×columns×1×1×8×window×side: block, head, query column, query row, window row, neighbourhood column.
    """
    reach, side = window // 2, BLOCK + window - 1
    inside = []
    for length in size:
        starts = torch.arange(0, length, BLOCK, device=device)
        places = starts[:, None] + torch.arange(side, device=device) - reach
        inside.append((places >= 0) & (places < length))
    rows = inside[0].unfold(1, window, 1)  # rows×8×window: the window rows of each query row
    both = rows[:, None, :, :, None] & inside[1][None, :, None, None, :]
    # Finite, so that a query of the padding, which sees nothing but padding, does not become NaN.
    lowest = torch.finfo(dtype).min / 2
    return torch.zeros(both.shape, dtype=dtype, device=device).masked_fill_(~both, lowest)[:, :, None, None]


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
