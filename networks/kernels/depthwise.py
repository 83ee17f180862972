"""Kernel of depthwise convolutions whose gradients are two more convolutions.

PyTorch's own gradients of large or dilated depthwise kernels take many times what the convolution takes on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

from aotlab.networks.kernels.conditions import roughly
from aotlab.networks.primitives import depthwise


class _Convolved(torch.autograd.Function):
    """A depthwise convolution of stride 1 that keeps a map's size, with its gradients as convolutions."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
        """Arguments and result as those of `depthwise`."""
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation  # type: ignore[attr-defined]
        return _plain(x, weight, bias, dilation)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Of the input: the gradient under the turned kernel. Of the kernel: the input under the gradient."""
        x, weight = ctx.saved_tensors
        to_x, to_weight, to_bias, _ = ctx.needs_input_grad
        by_x = _plain(gradient, weight.flip(2, 3), None, ctx.dilation) if to_x else None
        by_weight = _taps(x, gradient, weight, ctx.dilation) if to_weight else None
        return by_x, by_weight, gradient.sum((0, 2, 3)) if to_bias else None, None


def _taps(x: Tensor, gradient: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """The gradient C×1×k×k of a kernel: every map of the batch under its gradient, a step of the dilation per tap."""
    side = weight.shape[2]
    maps, kernels = (y.contiguous().flatten(0, 1) for y in (x, gradient))  # (B·C)×H×W
    margin = dilation * (side // 2)
    taps = F.conv2d(maps[None], kernels[:, None], None, dilation, margin, groups=len(maps))
    # Laid out as the kernel, which DDP asks for.
    return torch.empty_like(weight).copy_(taps.view(*x.shape[:2], 1, side, side).sum(0))


_plain = depthwise.kernels["plain"]


def _rule(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> str:
    slow = weight.shape[2] > 3 or dilation > 1
    return "convolved" if slow and _fits("convolved", x, weight, bias, dilation) else "plain"


def _sizes(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> tuple[int, ...]:
    return (roughly(len(x)), len(weight), roughly(x.shape[2] * x.shape[3]), weight.shape[2], dilation)


def _fits(name: str, x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> bool:
    """Only gradients differ, and those of autocast have another precision than the weights."""
    if name == "plain":
        return True
    apart = torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling()
    return x.is_cpu and torch.is_grad_enabled() and weight.requires_grad and not apart


depthwise.add({"convolved": _Convolved.apply}, rule=_rule, sizes=_sizes, fits=_fits)
