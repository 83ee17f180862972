"""Faster kernels of attention: global attention on CPUs as matrix products, local attention without a copy per query.

Local attention is exact, with gradients. Queries come in tiles of 8×8, each against its padded neighborhood of side 8 +
window - 1: a matrix of scores of 64 queries by side² tokens per frame, in which every query's window is a strided view.
On small maps all queries are compared with the whole map, which is less work.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.networks.attention import MapSize, RelativePositions, global_attention, split_heads
from aotlab.networks.cache import cache_table

QUERY_CHUNK = 512
"""Queries whose weights are computed together, so that they stay in the cache."""
TILE = 8
"""Side of the tiles of queries in tokens."""
TILES_AT_ONCE = 32
"""Tiles of one head that are computed together on a CPU, so that intermediate results stay in the cache."""


def chunked_attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """`global_attention` as matrix products, one head at a time, in chunks of queries."""
    query = query * (query.shape[2] // heads) ** -0.5
    output = query.new_empty(*query.shape[:2], value.shape[2])
    for row in range(len(query)):
        rows = (x[row].chunk(heads, dim=1) for x in (query, key, value, output))  # a view per head
        for head_query, head_key, head_value, head_output in zip(*rows, strict=True):
            keys, values = head_key.contiguous(), head_value.contiguous().mT  # S×c, d×S
            queries = head_query.contiguous().split(QUERY_CHUNK)
            for part, part_output in zip(queries, head_output.split(QUERY_CHUNK), strict=True):
                part_output.copy_(F.linear(F.linear(part, keys).softmax(1), values))
    return output


def dense_attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """`global_attention` in bfloat16 as matrix products of all queries, whose gradient is fast on CPUs.

    Other types gain nothing, and the fused kernel does not store the weights.
    """
    if query.dtype != torch.bfloat16:
        return global_attention(query, key, value, heads)
    query, key = split_heads(query, heads), split_heads(key, heads)
    weights = (query * query.shape[3] ** -0.5 @ key.mT).softmax(3).to(value.dtype)
    return (weights @ split_heads(value, heads)).transpose(1, 2).flatten(2)


def fused_attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """`global_attention` that graphs compute with an operator of onnxruntime, which keeps the weights in the cache."""
    if not torch.compiler.is_exporting():
        return global_attention(query, key, value, heads)
    return torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention",
        (query, key, value),
        {"num_heads": heads},
        dtype=query.dtype,
        shape=(*query.shape[:2], value.shape[2]),
        version=1,
    )


def dense_local_attention(
    query: Tensor, key: Tensor, value: Tensor, heads: int, size: MapSize, *, window: int, relative: RelativePositions
) -> Tensor:
    """`local_attention` with a weight for every pair of tokens, 0 outside the window; fast on small maps."""
    tokens = query.shape[1]
    offset_at, token_at = find_neighbors(size, window, query.device)
    query, key, value = split_heads(query, heads), split_heads(key, heads), split_heads(value, heads)
    if relative.key is not None:
        position_logits = relative.logits(query)  # B×heads×L×window²
    else:
        position_logits = query.new_zeros(*query.shape[:3], window**2)
    # an extra column for tokens outside the window; finite, as in `build_window_mask`
    position_logits = F.pad(position_logits, (0, 1), value=torch.finfo(query.dtype).min / 2)
    # B×heads×L×L
    offset_logits = position_logits.gather(3, offset_at.expand(*position_logits.shape[:2], -1, -1))
    scores = (query * query.shape[3] ** -0.5) @ key.mT  # B×heads×L×(n·L)
    logits = scores.unflatten(3, (-1, tokens)) + offset_logits.unsqueeze(3)
    weights = logits.flatten(3).softmax(3).to(value.dtype)
    output = weights @ value
    if relative.value is not None:
        window_weights = F.pad(weights.unflatten(3, (-1, tokens)).sum(3), (0, 1))  # of all frames
        window_weights = window_weights.gather(3, token_at.expand(*window_weights.shape[:2], -1, -1))
        output = output + window_weights @ relative.value.mT
    return output.transpose(1, 2).flatten(2)


def tiled_local_attention(
    query: Tensor, key: Tensor, value: Tensor, heads: int, size: MapSize, *, window: int, relative: RelativePositions
) -> Tensor:
    """`local_attention` in tiles, or on small maps `dense_local_attention`."""
    if dense_is_cheaper(size, window, heads):
        return dense_local_attention(query, key, value, heads, size, window=window, relative=relative)
    queries = extract_tiles(query, size, heads, 0)  # B×heads×rows×columns×1×8×8×c
    keys = extract_tiles(key, size, heads, window // 2)  # B×heads×rows×columns×n×side×side×c
    values = extract_tiles(value, size, heads, window // 2)
    # rows×columns×64×window²
    outside_bias = build_window_mask(size, window, query.dtype, query.device)
    batch, heads, rows, columns = queries.shape[:4]
    rows_per_chunk = max(TILES_AT_ONCE // columns, 1)
    if torch.compiler.is_compiling() or torch.is_grad_enabled() or not query.is_cpu:
        rows_per_chunk, slices = rows, [(slice(None), slice(None))]
    else:
        slices = [(slice(b, b + 1), slice(h, h + 1)) for b in range(batch) for h in range(heads)]
    outputs = []
    for b, h in slices:
        head_relative = RelativePositions(*(None if x is None else x[h] for x in relative))
        for row in range(0, rows, rows_per_chunk):
            part = slice(row, row + rows_per_chunk)
            q, k, v = (x[b, h, part] for x in (queries, keys, values))
            outputs.append(attend_tiles(q, k, v, outside_bias[part], window, head_relative))
    output = torch.cat(outputs) if len(outputs) > 1 else outputs[0]
    output = output.view(*queries.shape[:4], TILE, TILE, -1)  # B×heads×rows×columns×8×8×d
    maps = output.permute(0, 2, 4, 3, 5, 1, 6)  # B×rows×8×columns×8×heads×d
    maps = maps.flatten(5).flatten(3, 4).flatten(1, 2)  # B×(8·rows)×(8·columns)×D
    return maps[:, : size[0], : size[1]].flatten(1, 2)  # B×L×D


def attend_tiles(
    query: Tensor, key: Tensor, value: Tensor, outside_bias: Tensor, window: int, relative: RelativePositions
) -> Tensor:
    """Return the attention of some tiles of some heads.

    Args:
        query: B×heads×rows×columns×1×8×8×c.
        key, value: their neighborhoods, B×heads×rows×columns×n×side×side×c and ×d.
        outside_bias: rows×columns×64×window², from `build_window_mask`.
        relative: those of the same heads.

    Returns:
        N×64×d, N = B·heads·rows·columns.
    """
    batch, count = query.shape[:2]
    dim, frames = query.shape[-1], key.shape[4]
    queries = query.reshape(batch, count, -1, TILE**2, dim)  # B×heads×(rows·columns)×64×c
    keys = key.reshape(queries.shape[:3].numel(), -1, dim)  # N×(n·side²)×c
    scores = torch.bmm(queries.flatten(0, 2) * dim**-0.5, keys.mT)  # N×64×(n·side²)
    position_logits = outside_bias.flatten(0, 1)  # (rows·columns)×64×window²
    if relative.key is not None and relative.bias is not None:
        # B×heads×(rows·columns)×64×window²
        position_logits = queries @ relative.key[:, None].mT + relative.bias[:, None] + position_logits
    else:
        position_logits = position_logits.expand(batch, count, *position_logits.shape)
    position_logits = position_logits.reshape(-1, TILE, TILE, 1, window, window)
    logits = gather_windows(scores, window, frames) + position_logits  # N×8×8×n×window×window
    weights = logits.flatten(3).softmax(3).to(scores.dtype)  # N×8×8×(n·window²)
    spread = scatter_windows(weights.view(logits.shape))  # N×64×(n·side²)
    output = torch.bmm(spread, value.reshape(len(spread), spread.shape[2], -1))
    if relative.value is not None:
        window_weights = weights if frames == 1 else weights.unflatten(3, (frames, -1)).sum(3)
        window_weights = window_weights.view(batch, count, -1, TILE**2, window**2)
        output = output + (window_weights @ relative.value[:, None].mT).flatten(0, 2)
    return output


def dense_is_cheaper(size: MapSize, window: int, heads: int) -> bool:
    """Return whether a map has fewer pairs of tokens than its tiles with their neighborhoods.

    With one head, up to 1.5 times as many pairs are still cheaper, because its wide values are not copied.
    """
    tiles = math.ceil(size[0] / TILE) * math.ceil(size[1] / TILE)
    pairs = tiles * (TILE * (TILE + window - 1)) ** 2
    return (size[0] * size[1]) ** 2 <= pairs * (1.5 if heads == 1 else 1)


def extract_tiles(x: Tensor, size: MapSize, heads: int, margin: int) -> Tensor:
    """Cut tokens B×(n·H·W)×C into tiles of side 8 + 2·margin, one every 8 tokens, as views of padded maps.

    Returns:
        B×heads×rows×columns×n×side×side×(C/heads).
    """
    height, width = size
    if torch.compiler.is_exporting():  # one Gather instead of copies by Pad, Gather and Transpose
        tokens = index_tiles(size, margin, x.device)
        x = split_heads(x, heads).unflatten(2, (-1, height * width))  # B×heads×n×L×c
        tiles = x.index_select(3, tokens.flatten()).unflatten(3, tokens.shape)
        return tiles.permute(0, 1, 3, 4, 2, 5, 6, 7)
    x = x.unflatten(1, (-1, *size)).unflatten(4, (heads, -1))  # B×n×H×W×heads×c
    x = F.pad(x, (0, 0, 0, 0, margin, -width % TILE + margin, margin, -height % TILE + margin))
    tiles = x.unfold(2, TILE + 2 * margin, TILE).unfold(3, TILE + 2 * margin, TILE)
    return tiles.permute(0, 4, 2, 3, 1, 6, 7, 5)  # from B×n×rows×columns×heads×c×side×side


def index_tiles(size: MapSize, margin: int, device: torch.device) -> Tensor:
    """Return the tokens of the tiles of `extract_tiles`, rows×columns×side×side; outside the map the nearest ones."""
    y, x = (
        (
            torch.arange(0, length, TILE, device=device)[:, None] + torch.arange(-margin, TILE + margin, device=device)
        ).clamp(0, length - 1)
        for length in size
    )
    return y[:, None, :, None] * size[1] + x[None, :, None, :]


def window_strides(window: int, frames: int) -> tuple[int, ...]:
    """Return the strides of windows N×8×8×n×window×window in scores N×64×(n·side²).

    Query (i, j) is row 8·i + j of the scores, and its window starts at token i·side + j of the neighborhood. A step in
    i is therefore 8·row + side, and one in j row + 1, with row = n·side².
    """
    side = TILE + window - 1
    row = frames * side * side
    return TILE * TILE * row, TILE * row + side, row + 1, side * side, side, 1


def gather_windows(x: Tensor, window: int, frames: int) -> Tensor:
    """Return each query's window N×8×8×n×window×window of scores N×64×(n·side²), queries by neighbors.

    Strided views overlap, which graphs cannot express; when compiling, rows are padded to where the next window begins.
    """
    side = TILE + window - 1
    row = frames * side * side
    if not torch.compiler.is_compiling():
        return x.as_strided((len(x), TILE, TILE, frames, window, window), window_strides(window, frames))
    x = F.pad(x.flatten(1), (0, TILE * side)).unflatten(1, (TILE, TILE * row + side))
    x = x[:, :, : TILE * (row + 1)].unflatten(2, (TILE, row + 1))  # N×8×8×(n·side² + 1)
    x = torch.stack([x[..., start : start + window * side] for start in range(0, row, side * side)], 3)
    return x.unflatten(4, (window, side))[..., :window]


def scatter_windows(weights: Tensor) -> Tensor:
    """Write windows N×8×8×n×window×window back to N×64×(n·side²), 0 elsewhere; the reverse of `gather_windows`."""
    count, _, _, frames, window, _ = weights.shape
    side = TILE + window - 1
    if not torch.compiler.is_compiling():
        output = weights.new_zeros(count, TILE * TILE, frames * side * side)
        output.as_strided(weights.shape, window_strides(window, frames)).copy_(weights)
        return output
    x = F.pad(weights, (0, TILE - 1, 0, TILE - 1)).flatten(3)  # windows as large as the neighborhood
    x = F.pad(x, (0, 1)).flatten(2)
    x = F.pad(x, (0, side - TILE)).flatten(1)
    return x[:, : -TILE * side].unflatten(1, (TILE * TILE, -1))


@cache_table
def build_window_mask(size: MapSize, window: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a very negative number where a query's window leaves the map, else 0: rows×columns×64×window²."""
    inside = []
    for length in size:
        starts = torch.arange(0, length, TILE, device=device)
        coordinates = starts[:, None] + torch.arange(TILE + window - 1, device=device) - window // 2
        valid = (coordinates >= 0) & (coordinates < length)
        inside.append(valid.unfold(1, window, 1))  # tiles×8×window
    both = inside[0][:, None, :, None, :, None] & inside[1][None, :, None, :, None, :]
    # finite, so that a query of the padding, which sees nothing but padding, does not become NaN
    lowest = torch.finfo(dtype).min / 2
    outside = torch.zeros(both.shape, dtype=dtype, device=device).masked_fill_(~both, lowest)
    return outside.flatten(4).flatten(2, 3)


@cache_table
def find_neighbors(size: MapSize, window: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return each token's offset from every query, L×L, and the token at each offset, L×window².

    Outside the window the offset is window²; outside the map the token is L.
    """
    height, width = size
    rows = torch.arange(height, device=device)[:, None].expand(height, width).flatten()
    columns = torch.arange(width, device=device).expand(height, width).flatten()
    down, right = ((x - x[:, None] + window // 2) for x in (rows, columns))  # L×L
    inside = (down >= 0) & (down < window) & (right >= 0) & (right < window)
    offset_at = torch.where(inside, down * window + right, window**2)
    steps = torch.arange(window, device=device) - window // 2
    y, x = rows[:, None, None] + steps[:, None], columns[:, None, None] + steps  # L×window×1, L×1×window
    on_map = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    token_at = torch.where(on_map, y * width + x, height * width).flatten(1)
    return offset_at, token_at
