"""Kernels of softmax attention."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.networks.attention import attention
from aotlab.networks.kernels.conditions import (
    CONVOLVES,
    DILATION,
    computed_in,
    needs_gradients,
    onednn_can,
    onednn_linear,
    roughly,
)

WEIGHTS_AT_ONCE = 2**22
"""weights that a CPU's attention holds at a time; about these fit into its cache"""
LEAST_QUERIES = 768
"""minimum queries per chunk: PyTorch convolves with oneDNN from 20480 numbers on, so 641 of width 32"""
ROOM = 28
"""reserve of the binary exponent for sums of weights over all keys times values"""


def _split_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Products of matrices, for one head and some queries at a time."""
    return _in_parts(query, key, value, lambda part, k: part @ k.mT, torch.matmul)


def _convolved_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Queries as pixels; keys are the kernel of the scores, values that of the weighted sum."""

    def score(part: Tensor, k: Tensor) -> Tensor:
        pixels = part[None, None].permute(0, 3, 1, 2)  # 1×c×1×L
        return F.conv2d(pixels, k[:, :, None, None], dilation=DILATION)[0, :, 0].mT

    def weigh(weights: Tensor, v: Tensor) -> Tensor:
        pixels = weights[None, None].permute(0, 3, 1, 2)  # 1×S×1×L
        return F.conv_transpose2d(pixels, v[:, :, None, None], dilation=DILATION)[0, :, 0].mT

    return _in_parts(query, key, value, score, weigh)


def _onednn_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """oneDNN's products of matrices; under autocast scores and their powers stay in float32, as in the fused one."""
    if not onednn_can(query, key, value):
        return _split_attention(query, key, value)
    dtype = computed_in(value)

    def weigh(weights: Tensor, v: Tensor) -> Tensor:
        return onednn_linear(weights.to(dtype), v.mT)

    # In order in memory: oneDNN takes seconds for what is not.
    query, key, value = query.float().contiguous(), key.float().contiguous(), value.to(dtype).contiguous()
    with torch.autocast("cpu", enabled=False):
        return _in_parts(query, key, value, onednn_linear, weigh).to(dtype)


def _in_parts(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score: Callable[[Tensor, Tensor], Tensor],
    weigh: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Attention of one head and some queries at a time, so that their weights stay in the cache.

    Args:
        query, key, value: B×heads×L×c, B×heads×S×c and B×heads×S×d.
        score: of queries L'×c and keys S×c their products L'×S.
        weigh: of weights L'×S and values S×d the sums L'×d.
    """
    scale = query.shape[3] ** -0.5
    if torch.is_grad_enabled() and computed_in(query).itemsize < 4:
        # Gradients of powers would be rounded more often.
        parts = _parts(query * scale, key, value)
        attended = [weigh(score(part, k).softmax(1), v) for part, k, v in parts]
    else:
        scaled = query * (scale * math.log2(math.e))
        shifted = _may_overflow(scaled, key)
        parts = _parts(scaled, key, value)
        attended = [_weighted_by_powers(score(part, k), v, weigh, shifted) for part, k, v in parts]
    joined = torch.cat(attended) if len(attended) > 1 else attended[0]
    return joined.view(*query.shape[:3], -1)


def _parts(query: Tensor, key: Tensor, value: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Some queries L'×c of one head, with its keys S×c and values S×d."""
    count = max(min(query.shape[2] * key.shape[2] // WEIGHTS_AT_ONCE, query.shape[2] // LEAST_QUERIES), 1)
    for q, k, v in zip(query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1), strict=True):
        for part in q.tensor_split(count):
            yield part, k, v


def _weighted_by_powers(
    scores: Tensor, value: Tensor, weigh: Callable[[Tensor, Tensor], Tensor], shifted: bool
) -> Tensor:
    """Values weighted by two to the power of scores L×S, which are overwritten, and divided by the sum of these.

    A softmax of scores in units of log2(e), with fewer passes over them.

    Args:
        scores: L×S.
        value: S×d.
        weigh: of weights and values the sums L×d.
        shifted: by the largest of each row, so that no power is too large a number.
    """
    if shifted:
        scores -= scores.detach().amax(1, keepdim=True)
    weights = scores.exp2_()
    return weigh(weights, value) / weights.sum(1, keepdim=True)


@torch.no_grad()
def _may_overflow(query: Tensor, key: Tensor) -> bool:
    """Whether two to the power of a score may be too large or small a number, by |q · k| ≤ |q| · |k|."""
    if torch.compiler.is_compiling() or not query.is_cpu:
        return True  # without a look at numbers
    largest = (query.norm(dim=3).amax(2) * key.norm(dim=3).amax(2)).amax()
    return not bool(largest <= math.log2(torch.finfo(computed_in(query)).max) - ROOM)


def _rule(query: Tensor, key: Tensor, value: Tensor) -> str:
    """Fused on GPUs and, where widths allow, with gradients, as no weights are kept; convolved on CPUs."""
    fused = torch.is_grad_enabled() and query.shape[3] == value.shape[3]
    return "convolution" if CONVOLVES and query.is_cpu and not fused else "fused"


def _sizes(query: Tensor, key: Tensor, value: Tensor) -> tuple[int, ...]:
    batch, heads, tokens, width = query.shape
    return (batch * heads, roughly(tokens), roughly(key.shape[2]), width, value.shape[3])


def _fits(name: str, query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Not the plain one, which holds all weights at once, as the fused one does for values of another width."""
    if name == "onednn":
        return onednn_can(query, key, value)
    if name == "fused":
        return needs_gradients(query, key, value) or query.shape[3] == value.shape[3]
    return name in ("split", "convolution")


attention.add(
    {
        "fused": F.scaled_dot_product_attention, "split": _split_attention, "convolution": _convolved_attention,
        "onednn": _onednn_attention,
    },
    rule=_rule, sizes=_sizes, fits=_fits,
)  # fmt: skip
