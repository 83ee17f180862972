"""The two attentions of the family: of every query over all keys, and over the window around it.

They take queries, keys and values with heads folded into channels and say nothing about where these come from.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.networks.kernels import products
from aotlab.networks.kernels.global_attention import attention
from aotlab.networks.kernels.local_attention import RelativePosition, over_blocks
from aotlab.networks.kernels.windows import BLOCK


def global_attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Softmax attention of every query over all keys, scaled by 1/sqrt(dim / heads).

    query: B×L×C; key: B×S×C; value: B×S×D. Returns B×L×D.
    """
    query = query.unflatten(2, (heads, -1)).transpose(1, 2)  # B×heads×L×c
    key = key.unflatten(2, (heads, -1)).transpose(1, 2)  # B×heads×S×c
    value = value.unflatten(2, (heads, -1)).transpose(1, 2)  # B×heads×S×d
    return attention(query, key, value).transpose(1, 2).flatten(2)


@products.replaceable
def local_attention(
    query: Tensor, key: Tensor, value: Tensor, *, size: tuple[int, int], position: RelativePosition
) -> Tensor:
    """Attention of every token of a map over the window around it, with relative positions (AOT, section 4.3).

    Exact, without a copy of keys or values per query: blocks of 8×8 queries against their padded neighbourhoods, of
    which the windows are views; or, where that is less, as on small maps, all queries against the whole map.

    query: B×L×C, unscaled; key: B×(n·L)×C and value: B×(n·L)×D of n frames, whose windows are read as one; size:
    (H, W) of the map, L = H·W, row-major; position: of the window, the same in all frames, which also tells its
    side and the number of heads. Returns B×L×D.
    """
    heads, area, _ = position.weight.shape
    over = _over_map if _map_is_less(size, int(area**0.5), heads) else over_blocks
    return over(query, key, value, size, position)


@lru_cache(maxsize=64)
def _map_is_less(size: tuple[int, int], window: int, heads: int) -> bool:
    """Whether a map has fewer pairs of tokens than its blocks with their neighbourhoods.

    One head may have half as many more: its values are wide, and the map's are not copied.
    """
    blocks = -(-size[0] // BLOCK) * -(-size[1] // BLOCK)
    pairs = blocks * (BLOCK * (BLOCK + window - 1)) ** 2
    return (size[0] * size[1]) ** 2 <= pairs * (1.5 if heads == 1 else 1)


def _over_map(
    query: Tensor, key: Tensor, value: Tensor, size: tuple[int, int], position: RelativePosition
) -> Tensor:
    """`local_attention` with a weight for every pair of tokens, 0 outside of the window."""
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
    result = products.batch(weights.flatten(0, 1), value.flatten(0, 1)).unflatten(0, (-1, heads))
    if position.value is not None:
        shared = F.pad(weights.unflatten(3, (-1, tokens)).sum(3), (0, 1))  # of all frames
        result = result + shared.gather(3, token_at.expand(*shared.shape[:2], -1, -1)) @ position.value.mT
    return result.transpose(1, 2).flatten(2)


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is kept from tracking, training may save for its gradients
def _neighbours(size: tuple[int, int], window: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Of every query, the offset at which it sees each token, L×L, and the token at each offset, L×window².

    What is outside of the window or the map is window² or L.
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
