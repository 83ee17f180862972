"""The two attentions of the family, as they are defined: over all keys, and over the window around every query."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.networks.operations import Operation
from aotlab.networks.positions import RelativePosition


def global_attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """`attention` with heads folded into channels: B×L×C, B×S×C and B×S×D to B×L×D."""
    query = query.unflatten(2, (heads, -1)).transpose(1, 2)  # B×heads×L×c
    key = key.unflatten(2, (heads, -1)).transpose(1, 2)
    value = value.unflatten(2, (heads, -1)).transpose(1, 2)
    return attention(query, key, value).transpose(1, 2).flatten(2)


@Operation
def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax attention of every query over all keys: B×heads×L×c, B×heads×S×c and B×heads×S×d to B×heads×L×d."""
    return (query * query.shape[3] ** -0.5 @ key.mT).softmax(3) @ value


@Operation
def local_attention(
    query: Tensor, key: Tensor, value: Tensor, size: tuple[int, int], position: RelativePosition
) -> Tensor:
    """Attention of every token of a map over the window around it, with relative positions (AOT, section 4.3).

    query: B×L×C, unscaled; key: B×(n·L)×C and value: B×(n·L)×D of n frames, whose windows are read as one; size:
    (H, W) of the map, L = H·W, row-major; position: the same in all frames; its shape gives the number of heads and the
    window. Returns B×L×D.
    """
    heads, area, dim = position.weight.shape
    query = query.unflatten(2, (heads, -1)).transpose(1, 2)  # B×heads×L×c
    keys, values = windows(key, size, heads, area), windows(value, size, heads, area)
    inside = windows(key.new_ones(1, query.shape[2], 1), size, 1, area)[..., 0] > 0  # 1×1×L×1×window²
    scores = torch.einsum("bhlc,bhlnwc->bhlnw", query * dim**-0.5, keys)
    offsets = query @ position.weight.mT + position.bias[:, None]  # B×heads×L×window²
    logits = (scores + offsets.unsqueeze(3)).masked_fill(~inside, float("-inf"))
    weights = logits.flatten(3).softmax(3).view_as(logits)  # over the windows of all frames
    result = torch.einsum("bhlnw,bhlnwd->bhld", weights, values)
    if position.value is not None:
        result = result + weights.sum(3) @ position.value.mT
    return result.transpose(1, 2).flatten(2)


def windows(x: Tensor, size: tuple[int, int], heads: int, area: int) -> Tensor:
    """Tokens B×(n·L)×(heads·c) in each token's window, 0 outside of the map: B×heads×L×n×window²×c."""
    side = int(area**0.5)
    maps = F.pad(x.unflatten(1, (-1, *size)), (0, 0, *[side // 2] * 4))  # B×n×(H+side-1)×(W+side-1)×(heads·c)
    views = maps.unfold(2, side, 1).unfold(3, side, 1).unflatten(4, (heads, -1))  # B×n×H×W×heads×c×side×side
    return views.permute(0, 4, 2, 3, 1, 6, 7, 5).flatten(5, 6).flatten(2, 3)
