"""Local attention in blocks of 8×8 queries against their padded neighbourhoods, of which the windows are views."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.networks.kernels import products
from aotlab.networks.kernels.windows import BLOCK, spread, windows

BLOCKS_AT_ONCE = 32
"""of one head, so that what is computed of them stays in the cache"""


class RelativePosition(NamedTuple):
    """What local attention learns about the offset from a query to a key.

    weight: heads×window²×(C/heads), bias: heads×window²; they turn the unscaled query into a logit per offset.
    value: heads×(D/heads)×window², added to the values; None for none.
    """

    weight: Tensor
    bias: Tensor
    value: Tensor | None


def over_blocks(
    query: Tensor, key: Tensor, value: Tensor, size: tuple[int, int], position: RelativePosition
) -> Tensor:
    """`local_attention`, some blocks of one head at a time.

    All at once with gradients, which views of parts would make slow, in graphs, which would hold each part's steps, and
    on GPUs, which fill their cores so.
    """
    heads, window = position.bias.shape[0], int(position.bias.shape[1] ** 0.5)
    queries = _squares(query, size, heads, 0)  # B×heads×rows×columns×1×8×8×c
    keys = _squares(key, size, heads, window // 2)  # B×heads×rows×columns×n×side×side×c
    values = _squares(value, size, heads, window // 2)  # B×heads×rows×columns×n×side×side×d
    outside = _outside(size, window, query.dtype, query.device)
    clips, _, rows, columns = queries.shape[:4]
    if torch.compiler.is_compiling() or torch.is_grad_enabled() or not query.is_cpu:
        learnt = _changed(position, lambda x: x.repeat(clips, *[1] * (x.dim() - 1)))
        result = _attend(queries, keys, values, outside, learnt)
    else:
        results, at_once = [], max(BLOCKS_AT_ONCE // columns, 1)
        for clip, head in itertools.product(range(clips), range(heads)):
            learnt = _changed(position, itemgetter(slice(head, head + 1)))
            for row in range(0, rows, at_once):
                some = slice(row, row + at_once)
                q, k, v = (x[clip : clip + 1, head : head + 1, some] for x in (queries, keys, values))
                results.append(_attend(q, k, v, outside[some], learnt))
        result = torch.cat(results) if len(results) > 1 else results[0]
    result = result.view(*queries.shape[:4], BLOCK, BLOCK, -1)  # B×heads×rows×columns×8×8×d
    result = result.permute(0, 2, 4, 3, 5, 1, 6).flatten(5)  # B×rows×8×columns×8×D
    maps = result.flatten(3, 4).flatten(1, 2)  # B×(rows·8)×(columns·8)×D
    return maps[:, : size[0], : size[1]].flatten(1, 2)


def _attend(query: Tensor, key: Tensor, value: Tensor, outside: Tensor, position: RelativePosition) -> Tensor:
    """Attention of some blocks.

    Args:
        query: B×heads×rows×columns×1×8×8×c.
        key, value: their neighbourhoods, B×heads×rows×columns×n×side×side×c and ×d.
        outside: rows×columns×64×window².
        position: of G = B·heads heads.

    Returns:
        N×64×d, N = B·heads·rows·columns.
    """
    groups, area, dim = position.weight.shape
    window, frames = int(area**0.5), key.shape[4]
    queries = query.reshape(groups, -1, BLOCK**2, dim)  # G×(rows·columns)×64×c
    keys = key.reshape(queries.shape[0] * queries.shape[1], -1, dim)  # N×(n·side²)×c
    scores = torch.bmm(queries.flatten(0, 1) * dim**-0.5, keys.mT)  # N×64×(n·side²)
    offsets = _by_head(queries, position.weight, position.bias)  # G×(rows·columns)×64×window²
    offsets = offsets + outside.flatten(0, 1)
    logits = windows(scores, window, frames) + offsets.view(-1, BLOCK, BLOCK, 1, window, window)
    weights = logits.flatten(3).softmax(3).to(scores.dtype)  # N×8×8×(n·window²)
    result = products.batch(spread(weights.view(logits.shape)), value)  # N×64×d
    if position.value is not None:
        shared = weights if frames == 1 else weights.unflatten(3, (frames, -1)).sum(3)
        result = result + _by_head(shared.view_as(offsets), position.value, None).flatten(0, 1)
    return result


def _changed(position: RelativePosition, change: Callable[[Tensor], Tensor]) -> RelativePosition:
    """With each tensor changed."""
    value = None if position.value is None else change(position.value)
    return RelativePosition(change(position.weight), change(position.bias), value)


def _by_head(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A linear layer for each head: G×N×64×C, weight G×C'×C and bias G×C' to G×N×64×C'."""
    if len(x) == 1:
        return products.linear(x, weight[0], None if bias is None else bias[0])
    result = x.flatten(1, 2) @ weight.mT
    return (result if bias is None else result + bias[:, None]).unflatten(1, x.shape[1:3])


def _squares(x: Tensor, size: tuple[int, int], heads: int, margin: int) -> Tensor:
    """Cut tokens B×(n·H·W)×C into squares of side 8 + 2·margin every 8, views of padded maps.

    B×heads×rows×columns×n×side×side×(C/heads).
    """
    height, width = size
    x = x.unflatten(1, (-1, *size)).unflatten(4, (heads, -1))  # B×n×H×W×heads×c
    x = F.pad(x, (0, 0, 0, 0, margin, -width % BLOCK + margin, margin, -height % BLOCK + margin))
    squares = x.unfold(2, BLOCK + 2 * margin, BLOCK).unfold(3, BLOCK + 2 * margin, BLOCK)
    return squares.permute(0, 4, 2, 3, 1, 6, 7, 5)  # of B×n×rows×columns×heads×c×side×side


@lru_cache(maxsize=64)
def _outside(size: tuple[int, int], window: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A very negative number where a query's window reaches outside the map, else 0: rows×columns×64×window²."""
    inside = []
    for length in size:
        starts = torch.arange(0, length, BLOCK, device=device)
        coordinates = starts[:, None] + torch.arange(BLOCK + window - 1, device=device) - window // 2
        valid = (coordinates >= 0) & (coordinates < length)
        inside.append(valid.unfold(1, window, 1))  # blocks×8×window
    both = inside[0][:, None, :, None, :, None] & inside[1][None, :, None, :, None, :]
    # Finite, so that a query of the padding, which sees nothing but padding, does not become NaN.
    lowest = torch.finfo(dtype).min / 2
    outside = torch.zeros(both.shape, dtype=dtype, device=device).masked_fill_(~both, lowest)
    return outside.flatten(4).flatten(2, 3)
