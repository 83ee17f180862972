"""Convolutions for training: frozen norms scale the kernel, and large depthwise kernels learn by convolutions.

PyTorch's own gradients of large or dilated depthwise kernels take many times what the convolution takes on a CPU.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torchvision.ops import FrozenBatchNorm2d


class FoldedNorm(FrozenBatchNorm2d):
    """Frozen norm that the convolution before it applies."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map as it is."""
        return x


class TrainingConv2d(nn.Conv2d):
    """Convolution with the frozen norm after it, if any; parameters and their names are the same."""

    norm: tuple[FrozenBatchNorm2d, ...] = ()
    """the norm, which remains a module of the parent"""

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W to B×C'×H'×W'."""
        weight, bias = self.weight, self.bias
        for norm in self.norm:
            scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
            weight, bias = weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale
        if self._uses_convolution_backward(x):
            return DepthwiseConvolution.apply(x, weight, bias, self.dilation[0])  # type: ignore[no-any-return]
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def _uses_convolution_backward(self, x: Tensor) -> bool:
        if not x.is_cpu or not torch.is_grad_enabled() or not self.weight.requires_grad:
            return False
        if torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
            return False
        depthwise = self.groups == self.in_channels == self.out_channels and self.stride == (1, 1)
        return depthwise and (self.kernel_size[0] > 3 or self.dilation[0] > 1)


def fold_training_norms(encoder: nn.Module) -> None:
    """Let every convolution that a frozen norm follows apply it, in place."""
    for parent in encoder.modules():
        for conv, norm in pairwise(list(parent.children())):
            if type(conv) is nn.Conv2d and type(norm) is FrozenBatchNorm2d:
                conv.__class__, norm.__class__ = TrainingConv2d, FoldedNorm
                conv.norm = (norm,)  # type: ignore[assignment]  # in a tuple, so that it is no child of the convolution


class DepthwiseConvolution(torch.autograd.Function):
    """Depthwise convolution of stride 1 that keeps a map's size, with its gradients as convolutions."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
        """Convolve x B×C×H×W with the kernel C×1×k×k, k odd."""
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation  # type: ignore[attr-defined]
        return F.conv2d(x, weight, bias, 1, dilation * (weight.shape[2] // 2), dilation, len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """For the input convolve the gradient with the flipped kernel, for the kernel the input with the gradient."""
        x, weight = ctx.saved_tensors
        x_needed, weight_needed, bias_needed, _ = ctx.needs_input_grad
        side, dilation = weight.shape[2], ctx.dilation
        margin = dilation * (side // 2)
        x_gradient = weight_gradient = None
        if x_needed:
            x_gradient = F.conv2d(gradient, weight.flip(2, 3), None, 1, margin, dilation, len(weight))
        if weight_needed:  # every map of the batch under its gradient, a step of the dilation per tap
            maps, kernels = (y.contiguous().flatten(0, 1) for y in (x, gradient))  # (B·C)×H×W
            taps = F.conv2d(maps[None], kernels[:, None], None, dilation, margin, groups=len(maps))
            taps = taps.view(*x.shape[:2], 1, side, side).sum(0)
            weight_gradient = torch.empty_like(weight).copy_(
                taps
            )  # laid out as the kernel, which DDP asks for
        bias_gradient = gradient.sum((0, 2, 3)) if bias_needed else None
        return x_gradient, weight_gradient, bias_gradient, None
