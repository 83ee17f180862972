"""Conditions on arguments that kernels and their choice depend on, and oneDNN's products of matrices."""

from __future__ import annotations

import torch
from torch import Tensor

CONVOLVES = torch.backends.mkldnn.is_available()
"""whether a CPU computes products as convolutions when nothing else is chosen"""
DILATION = 2
"""no effect on 1×1 kernels; makes PyTorch choose oneDNN, on a single thread as well"""


def roughly(count: int) -> int:
    """A number rounded up to a power of two."""
    return 1 << max(count - 1, 0).bit_length()


def needs_gradients(*args: object) -> bool:
    """Whether any argument is a tensor whose gradient will be computed."""
    return torch.is_grad_enabled() and any(isinstance(arg, Tensor) and arg.requires_grad for arg in args)


def computed_in(x: Tensor) -> torch.dtype:
    """The precision of a product of a tensor: its dtype, or autocast's."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def onednn_can(*tensors: Tensor) -> bool:
    """Whether oneDNN multiplies such tensors in the precision they are computed in; never with gradients."""
    kinds = (torch.float32, torch.bfloat16)
    known = all(x.is_cpu and x.dtype in kinds and computed_in(x) in kinds for x in tensors)
    there = CONVOLVES and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return known and there and not needs_gradients(*tensors)


def onednn_linear(x: Tensor, weight: Tensor) -> Tensor:
    """``x`` N×C times ``weight`` D×C transposed, of one dtype; PyTorch's own product uses MKL for float32.

    Both are contiguous, or their transposes are: for others oneDNN takes seconds.
    """
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
    return result
