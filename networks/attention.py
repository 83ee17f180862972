"""The two kinds of attention, over all stored tokens and over the window around every token; sine positions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.networks.cache import cache_table

MapSize = tuple[int, int]
"""(height, width) of a map in tokens."""


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Map B×L×(heads·c) to B×heads×L×c."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def global_attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Attend to all keys; arguments as `Attention.forward`."""
    query, key, value = split_heads(query, heads), split_heads(key, heads), split_heads(value, heads)
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """Softmax attention of every query over all keys, without parameters (Att of AOT)."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.kernel: Callable[[Tensor, Tensor, Tensor, int], Tensor] = global_attention
        """Function that computes it; `aotlab.networks.fast.attention` has faster ones."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Map query B×L×C, key B×S×C and value B×S×D to B×L×D; heads divide C and D."""
        return self.kernel(query, key, value, self.heads)

    def split(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Split queries B×L×C and keys B×S×C into heads, B×heads×L×c and B×heads×S×c, for `FrameRelevance`."""
        return split_heads(query, self.heads), split_heads(key, self.heads)


class RelativePositions(NamedTuple):
    """Learned relative positions of a window, each None if unused."""

    key: Tensor | None
    """heads×window²×c, R."""
    bias: Tensor | None
    """heads×1×window², b."""
    value: Tensor | None
    """heads×d×window², U."""

    def logits(self, query: Tensor) -> Tensor:
        """Map queries B×heads×L×c to B×heads×L×window²: R_r·q + b_r for every offset r."""
        assert self.key is not None
        assert self.bias is not None
        return query @ self.key.mT + self.bias


def local_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    heads: int,
    size: MapSize,
    *,
    window: int,
    relative: RelativePositions,
) -> Tensor:
    """Attend to the window around every token; arguments as `LocalAttention.forward`.

    This readable version copies keys and values 225 times for a 15×15 window; those in `aotlab.networks.fast.attention`
    do not copy them.
    """
    query = split_heads(query, heads)
    # B×heads×L×n×window²×c
    keys, values = extract_windows(key, heads, size, window), extract_windows(value, heads, size, window)
    # B×heads×L×n×window²
    logits = torch.einsum("bhlc,bhlnwc->bhlnw", query * query.shape[3] ** -0.5, keys)
    if relative.key is not None:
        logits = logits + relative.logits(query).unsqueeze(3)
    # 1×heads×L×1×window²; False at positions outside of the map, which get no weight
    inside = extract_windows(key.new_ones(1, query.shape[2], heads), heads, size, window)[..., 0] > 0
    weights = logits.masked_fill(~inside, float("-inf")).flatten(3).softmax(3).view_as(logits)
    output = torch.einsum("bhlnw,bhlnwd->bhld", weights, values)
    if relative.value is not None:
        output = output + weights.sum(3) @ relative.value.mT
    return output.transpose(1, 2).flatten(2)


def extract_windows(x: Tensor, heads: int, size: MapSize, window: int) -> Tensor:
    """Return the tokens B×(n·L)×(heads·c) in each token's window, 0 outside the map: B×heads×L×n×window²×c."""
    radius = window // 2
    maps = x.unflatten(1, (-1, *size))  # B×n×h×w×C
    maps = F.pad(maps, (0, 0, radius, radius, radius, radius))
    windows = maps.unfold(2, window, 1).unfold(3, window, 1)  # B×n×h×w×C×window×window
    windows = windows.unflatten(4, (heads, -1))  # B×n×h×w×heads×c×window×window
    windows = windows.permute(0, 4, 2, 3, 1, 6, 7, 5)  # B×heads×h×w×n×window×window×c
    return windows.flatten(5, 6).flatten(2, 3)


class LocalAttention(nn.Module):
    """Attention of every token over the window around it, with learned relative positions (AttST of AOT).

    The logit of a key k at offset r from its query q is q·k/√c + R_r·q + b_r; with ``relative_value`` the sum over the
    window is of v + U_r. R, b and U are relative positions; the published code holds R and b as a grouped 1×1
    convolution, as here.
    """

    def __init__(
        self, dim: int, heads: int, window: int, *, relative_key: bool = True, relative_value: bool = True
    ) -> None:
        """Create the relative positions.

        Args:
            dim: C, width of queries and keys; with ``relative_value`` also of values.
            window: side of the window in tokens, odd.
        """
        super().__init__()
        self.heads, self.window = heads, window
        self.relative_key = nn.Conv2d(dim, heads * window**2, 1, groups=heads) if relative_key else None
        self.relative_value: nn.Parameter | None = None
        if relative_value:  # the block's `init_xavier` overwrites these zeros
            self.relative_value = nn.Parameter(torch.zeros(heads, dim // heads, window**2))
        self.kernel: Callable[..., Tensor] = local_attention
        """Function that computes it, with the arguments of `local_attention`."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor, size: MapSize) -> Tensor:
        """Attend to the window around every token, with one softmax over the windows of all n frames.

        Args:
            query: B×L×C tokens, row-major.
            key: B×(n·L)×C of n frames.
            value: B×(n·L)×D.
            size: (h, w) of the map in tokens, L = h·w.

        Returns:
            B×L×D.
        """
        relative = self.relative_positions
        return self.kernel(query, key, value, self.heads, size, window=self.window, relative=relative)

    @property
    def relative_positions(self) -> RelativePositions:
        """R, b and U, as views of the parameters."""
        if self.relative_key is None:
            return RelativePositions(None, None, self.relative_value)
        key = self.relative_key.weight.view(self.heads, self.window**2, -1)
        bias = self.relative_key.bias.view(self.heads, 1, self.window**2)  # type: ignore[union-attr]
        return RelativePositions(key, bias, self.relative_value)


def sine_position(size: MapSize, tokens: Tensor) -> Tensor:
    """Return the sine embedding 1×L×C of the positions of ``tokens`` B×L×C: first half for y, second half for x."""
    return _sine_position(size, tokens.shape[2], tokens.dtype, tokens.device)


@cache_table
def _sine_position(size: MapSize, dim: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    half = dim // 2
    channel = torch.arange(half, device=device)
    period = 10000 ** ((2 * (channel // 2)).float() / half)
    axes = []
    for length in size:
        position = torch.arange(length, dtype=torch.float32, device=device) / (length - 1 + 1e-6) * (2 * math.pi)
        angle = position[:, None] / period
        axes.append(torch.where(channel % 2 == 0, angle.sin(), angle.cos()))
    height, width = size
    rows = axes[0][:, None].expand(height, width, half)
    columns = axes[1][None].expand(height, width, half)
    return torch.cat([rows, columns], dim=2).flatten(0, 1)[None].to(dtype)  # 1×(h·w)×dim
