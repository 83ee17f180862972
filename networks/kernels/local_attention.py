"""Kernels of local attention, without a copy of keys or values per query.

Blocks of 8×8 queries against their padded neighbourhoods, of which the windows are views; on small maps all queries
against the whole map.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.networks.attention import local_attention
from aotlab.networks.kernels.products import batch
from aotlab.networks.kernels.windows import BLOCK, spread, windows
from aotlab.networks.positions import RelativePosition
from aotlab.networks.primitives import linear

BLOCKS_AT_ONCE = 32
"""blocks of one head that are computed together, so that intermediate results stay in the cache"""


def _over_blocks(
    query: Tensor, key: Tensor, value: Tensor, size: tuple[int, int], position: RelativePosition
) -> Tensor:
    """Some blocks of one head at a time.

    All at once with gradients, which views of parts would make slow, in graphs, which would hold each part's steps, and
    on GPUs, which have cores for all.
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
    result = batch(spread(weights.view(logits.shape)), value)  # N×64×d
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
        return linear(x, weight[0], None if bias is None else bias[0])
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


def _over_map(
    query: Tensor, key: Tensor, value: Tensor, size: tuple[int, int], position: RelativePosition
) -> Tensor:
    """A weight for every pair of tokens, 0 outside of the window."""
    heads, area, dim = position.weight.shape
    tokens = query.shape[1]
    offset_of, token_at = _neighbours(size, int(area**0.5), query.device)
    query = query.unflatten(2, (heads, -1)).transpose(1, 2)  # B×heads×L×c
    key = key.unflatten(2, (heads, -1)).transpose(1, 2)  # B×heads×(n·L)×c
    value = value.unflatten(2, (heads, -1)).transpose(1, 2)  # B×heads×(n·L)×d
    offsets = query @ position.weight.mT + position.bias[:, None]  # B×heads×L×window²
    # Finite, as in `_outside`; one more offset, for the tokens outside.
    offsets = F.pad(offsets, (0, 1), value=torch.finfo(offsets.dtype).min / 2)
    relative = offsets.gather(3, offset_of.expand(*offsets.shape[:2], -1, -1))  # B×heads×L×L
    scores = (query * dim**-0.5) @ key.mT  # B×heads×L×(n·L)
    logits = scores.unflatten(3, (-1, tokens)) + relative.unsqueeze(3)
    weights = logits.flatten(3).softmax(3)
    result = batch(weights.flatten(0, 1), value.flatten(0, 1)).unflatten(0, (-1, heads))
    if position.value is not None:
        shared = F.pad(weights.unflatten(3, (-1, tokens)).sum(3), (0, 1))  # of all frames
        result = result + shared.gather(3, token_at.expand(*shared.shape[:2], -1, -1)) @ position.value.mT
    return result.transpose(1, 2).flatten(2)


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is kept from tracking, training may save for its gradients
def _neighbours(size: tuple[int, int], window: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """For every query the offset of each token, L×L, and the token at each offset, L×window².

    Outside of the window the offset is window², outside of the map the token is L.
    """
    height, width = size
    rows = torch.arange(height, device=device).repeat_interleave(width)
    columns = torch.arange(width, device=device).repeat(height)
    down, right = ((x - x[:, None] + window // 2) for x in (rows, columns))  # L×L
    inside = (down >= 0) & (down < window) & (right >= 0) & (right < window)
    offset_of = torch.where(inside, down * window + right, window**2)
    steps = torch.arange(window, device=device) - window // 2
    y, x = rows[:, None, None] + steps[:, None], columns[:, None, None] + steps  # L×window×1, L×1×window
    on_map = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    token_at = torch.where(on_map, y * width + x, height * width).flatten(1)
    return offset_of, token_at


@lru_cache(maxsize=64)
def _map_is_less(size: tuple[int, int], window: int, heads: int) -> bool:
    """Whether a map has fewer pairs of tokens than its blocks with their neighbourhoods.

    One head may have half as many more: its values are wide, and the map's are not copied.
    """
    blocks = -(-size[0] // BLOCK) * -(-size[1] // BLOCK)
    pairs = blocks * (BLOCK * (BLOCK + window - 1)) ** 2
    return (size[0] * size[1]) ** 2 <= pairs * (1.5 if heads == 1 else 1)


def _rule(
    query: Tensor, key: Tensor, value: Tensor, size: tuple[int, int], position: RelativePosition
) -> str:
    heads, area, _ = position.weight.shape
    return "map" if _map_is_less(size, int(area**0.5), heads) else "blocks"


def _sizes(
    query: Tensor, key: Tensor, value: Tensor, size: tuple[int, int], position: RelativePosition
) -> tuple[int, ...]:
    return (*size, *position.bias.shape)


def _fits(name: str, *args: Any) -> bool:
    """Only the kernel with less work, which is never slower."""
    return name == _rule(*args)


local_attention.add({"blocks": _over_blocks, "map": _over_map}, rule=_rule, sizes=_sizes, fits=_fits)
