"""Kernels of linear layers, and products of batches of matrices.

PyTorch leaves float32 products on a CPU to MKL, which uses AVX-512 only on some processors, and convolutions to
oneDNN, which uses all instructions. So products are also written as convolutions, of tokens as the pixels of a map.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.networks.kernels.conditions import (
    CONVOLVES,
    DILATION,
    computed_in,
    onednn_can,
    onednn_linear,
    roughly,
)
from aotlab.networks.operations import Operation
from aotlab.networks.primitives import linear


def _convolved_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A linear layer as a convolution of a map that is one pixel high."""
    pixels = x.flatten(0, -2)[None, None].permute(0, 3, 1, 2)  # 1×C×1×N
    result = F.conv2d(pixels, weight[:, :, None, None], bias, dilation=DILATION)  # 1×C'×1×N
    return result.permute(0, 2, 3, 1).view(*x.shape[:-1], -1)


def _rule(x: Tensor, *_: object) -> str:
    return "convolution" if CONVOLVES and x.is_cpu else "plain"


def _linear_sizes(x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[int, ...]:
    return (roughly(x.numel() // x.shape[-1]), *weight.shape)


linear.add({"convolution": _convolved_linear}, rule=_rule, sizes=_linear_sizes)


@Operation
def batch(left: Tensor, right: Tensor) -> Tensor:
    """N products: N×M×K, best with the rows of all products adjacent in memory, and N×K×D to N×M×D.

    The second may have more axes, of which the first multiply to N and the others but the last to K: views of parts of
    a map.
    """
    return torch.bmm(left, right.reshape(len(left), left.shape[2], -1))


def _convolved_batch(left: Tensor, right: Tensor) -> Tensor:
    pixels = left.transpose(0, 1).flatten(1)[None, None].permute(0, 3, 1, 2)  # 1×(N·K)×1×M
    kernels = right.reshape(pixels.shape[1], -1, 1, 1)  # (N·K)×D×1×1
    groups = F.conv_transpose2d(pixels, kernels, groups=len(left), dilation=DILATION)
    return groups[0, :, 0].mT.unflatten(1, (len(left), -1)).transpose(0, 1)


def _onednn_batch(left: Tensor, right: Tensor) -> Tensor:
    """oneDNN's products one by one, each of a copy of a matrix that stays in the cache."""
    if not onednn_can(left, right):
        return batch.kernels["plain"](left, right)
    dtype, axes = computed_in(left), 1
    while math.prod(right.shape[:axes]) < len(left):
        axes += 1
    results = []
    for matrix, index in zip(left.to(dtype), itertools.product(*map(range, right.shape[:axes])), strict=True):
        other = right[index].to(dtype).reshape(matrix.shape[1], -1).contiguous()
        results.append(onednn_linear(matrix.contiguous(), other.mT))
    return torch.stack(results)


def _batch_sizes(left: Tensor, right: Tensor) -> tuple[int, ...]:
    return (roughly(len(left)), left.shape[1], left.shape[2], right.shape[-1])


def _batch_fits(name: str, left: Tensor, right: Tensor) -> bool:
    return name != "onednn" or onednn_can(left, right)


batch.add(
    {"convolution": _convolved_batch, "onednn": _onednn_batch},
    rule=_rule,
    sizes=_batch_sizes,
    fits=_batch_fits,
)
