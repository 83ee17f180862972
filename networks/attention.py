"""The matrix products of propagation: linear layers, and the two attentions of the family.

Attentions take queries, keys and values with heads folded into channels and say nothing about where they come from.

On a CPU linear layers and global attention are convolutions, of tokens as the pixels of a map. PyTorch leaves float32
products to MKL, which uses AVX-512 on Intel's processors alone, and convolutions to oneDNN, which uses what there is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONVOLVES = torch.backends.mkldnn.is_available()
"""whether a CPU's products are convolutions"""
DILATION = 2
"""of kernels of one pixel, for which it means nothing; without it a single thread's would not be given to oneDNN"""
BLOCK = 8
"""side in tokens of the query blocks of local attention"""
AT_ONCE = 2**22
"""weights that a CPU's global attention holds at a time, about as many as stay in its cache"""
ROWS = 768
"""queries that it takes at a time at least: PyTorch convolves with oneDNN from 20480 numbers on, so 641 of width 32"""


class Linear(nn.Linear):
    """A linear layer, which a CPU convolves; weights and their names are PyTorch's."""

    def forward(self, x: Tensor) -> Tensor:
        """...×C to ...×C'."""
        if not (CONVOLVES and x.is_cpu):
            return F.linear(x, self.weight, self.bias)
        pixels = x.flatten(0, -2)[None, None].permute(0, 3, 1, 2)
        result = F.conv2d(pixels, self.weight[:, :, None, None], self.bias, dilation=DILATION)
        return result.permute(0, 2, 3, 1).view(*x.shape[:-1], -1)


def global_attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Softmax attention of every query over all keys, scaled by 1/sqrt(dim / heads).

    query: B×L×C; key: B×S×C; value: B×S×D. Returns B×L×D.
    """
    query = query.unflatten(2, (heads, -1)).transpose(1, 2)
    key = key.unflatten(2, (heads, -1)).transpose(1, 2)
    value = value.unflatten(2, (heads, -1)).transpose(1, 2)
    # With gradients, what is fused keeps no weights; CPUs have no such kernel for values of another width.
    fused = torch.is_grad_enabled() and query.shape[3] == value.shape[3]
    if fused or not (CONVOLVES and query.is_cpu):
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    batch, _, tokens, width = query.shape
    parts = max(min(tokens * key.shape[2] // AT_ONCE, tokens // ROWS), 1)
    attended = []
    for q, k, v in zip(query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1), strict=True):
        for asked in (q * width**-0.5).tensor_split(parts):
            pixels = asked[None, None].permute(0, 3, 1, 2)
            logits = F.conv2d(pixels, k[:, :, None, None], dilation=DILATION)
            weights = logits.permute(0, 2, 3, 1).softmax(3).permute(0, 3, 1, 2)
            attended.append(F.conv_transpose2d(weights, v[:, :, None, None], dilation=DILATION)[0, :, 0].mT)
    return torch.cat(attended).view(batch, heads, tokens, -1).transpose(1, 2).flatten(2)


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
    padded neighbourhood, of which the windows are views.

    query: B×L×C, unscaled; key: B×(n·L)×C and value: B×(n·L)×D of n frames, whose windows are read as one; size:
    (H, W) of the map, L = H·W, row-major; position: of the window, the same in all frames, which also tells its
    side and the number of heads. Returns B×L×D.
    """
    heads, area, dim = position.weight.shape
    window, frames = int(area**0.5), key.shape[1] // query.shape[1]
    queries = _blocks(query, size, heads, 0)
    keys = _blocks(key, size, heads, window // 2).flatten(0, 3)
    values = _blocks(value, size, heads, window // 2).flatten(0, 3)

    scores = torch.bmm(queries.flatten(0, 3) * dim**-0.5, keys.mT)
    places = queries @ position.weight.mT + position.bias[:, None]
    places = places + _outside(size, window, places.dtype, places.device)
    windows = _windows(scores, window, frames)
    logits = windows + places.view(-1, BLOCK, BLOCK, 1, window, window)
    weights = logits.flatten(3).softmax(3)
    spread = _spread(weights.view(windows.shape))
    if CONVOLVES and spread.is_cpu:
        pixels = spread.transpose(0, 1).flatten(1)[None, None].permute(0, 3, 1, 2)
        kernels = values.flatten(0, 1)[:, :, None, None]
        groups = F.conv_transpose2d(pixels, kernels, groups=len(values), dilation=DILATION)
        result = groups[0, :, 0].mT.unflatten(1, (len(values), -1)).transpose(0, 1)
    else:
        result = torch.bmm(spread, values)
    if position.value is not None:
        offsets = weights if frames == 1 else weights.unflatten(3, (frames, -1)).sum(3)
        result = result.unflatten(0, queries.shape[:4]) + offsets.view_as(places) @ position.value.mT
    result = result.reshape(*queries.shape[:4], BLOCK, BLOCK, -1).permute(0, 1, 4, 2, 5, 3, 6).flatten(5)
    return result.flatten(3, 4).flatten(1, 2)[:, : size[0], : size[1]].flatten(1, 2)


def _blocks(x: Tensor, size: tuple[int, int], heads: int, reach: int) -> Tensor:
    """Cut tokens B×(n·H·W)×C into squares of 8 + 2·reach every 8: B×rows×columns×heads×(n·tokens)×(C/heads)."""
    height, width = size
    x = x.unflatten(1, (-1, *size)).unflatten(4, (heads, -1))
    x = F.pad(x, (0, 0, 0, 0, reach, -width % BLOCK + reach, reach, -height % BLOCK + reach))
    squares = x.unfold(2, BLOCK + 2 * reach, BLOCK).unfold(3, BLOCK + 2 * reach, BLOCK)
    return squares.permute(0, 2, 3, 4, 1, 6, 7, 5).flatten(4, 6)


def _windows(x: Tensor, window: int, frames: int) -> Tensor:
    """View of the windows in what the queries of blocks have for all tokens of their neighbourhoods.

    N×64×(n·side²), contiguous, of queries and neighbourhood tokens, to N×8×8×n×window×window. One query further,
    the window lies one token further, so places in memory are linear in query and offset.
    """
    side = BLOCK + window - 1
    row = frames * side * side
    steps = (BLOCK * BLOCK * row, BLOCK * row + side, row + 1, side * side, side, 1)
    return x.as_strided((len(x), BLOCK, BLOCK, frames, window, window), steps)


def _spread(weights: Tensor) -> Tensor:
    """The way back: weights of the windows in N×64×(n·side²), 0 elsewhere; in memory, queries come before blocks."""
    count, _, _, frames, window, _ = weights.shape
    side = BLOCK + window - 1
    row = frames * side * side
    spread = weights.new_zeros(BLOCK * BLOCK, count, row)
    steps = (row, BLOCK * count * row + side, count * row + 1, side * side, side, 1)
    spread.as_strided(weights.shape, steps).copy_(weights)
    return spread.transpose(0, 1)


@lru_cache(maxsize=64)
def _outside(size: tuple[int, int], window: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A very negative number where a query's window reaches outside the map, else 0: rows×columns×1×64×window²."""
    inside = []
    for length in size:
        starts = torch.arange(0, length, BLOCK, device=device)
        places = starts[:, None] + torch.arange(BLOCK + window - 1, device=device) - window // 2
        inside.append(((places >= 0) & (places < length)).unfold(1, window, 1))  # blocks×8×window
    both = inside[0][:, None, :, None, :, None] & inside[1][None, :, None, :, None, :]
    # Finite, so that a query of the padding, which sees nothing but padding, does not become NaN.
    lowest = torch.finfo(dtype).min / 2
    outside = torch.zeros(both.shape, dtype=dtype, device=device).masked_fill_(~both, lowest)
    return outside.flatten(4).flatten(2, 3).unsqueeze(2)
