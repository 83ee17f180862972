"""Convolutions with constant kernels, with the sum and the activation that follow.

oneDNN does all three in one pass over the result. Gradients and autocast need them apart.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.networks.kernels.conditions import CONVOLVES, DILATION, roughly
from aotlab.networks.operations import Operation

RELU, RELU6 = "relu", "relu6"
POST_OPS: dict[str | None, tuple[str, list[float]]] = {
    None: ("none", []),
    RELU: ("relu", []),
    RELU6: ("hardtanh", [0.0, 6.0]),
}
"""activations by name, with their names and bounds in oneDNN"""


class Geometry(NamedTuple):
    """Stride, padding, dilation and groups of a convolution."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


class Followers(NamedTuple):
    """Operations after a convolution: the sum with ``residual``, a map like its result, then ``activation``."""

    activation: str | None = None
    """relu, relu6 or None"""
    residual: Tensor | None = None


def follow(result: Tensor, followers: Followers) -> Tensor:
    """Apply the operations after a convolution in place."""
    if followers.residual is not None:
        result += followers.residual
    if followers.activation is None:
        return result
    return F.relu(result, inplace=True) if followers.activation == RELU else F.relu6(result, inplace=True)


@Operation
def convolution(x: Tensor, weight: Tensor, bias: Tensor | None, moves: Geometry, after: Followers) -> Tensor:
    """x B×C×H×W, weight C'×(C/groups)×k×k, bias C' or None, its geometry and what follows, to B×C'×H'×W'."""
    return follow(F.conv2d(x, weight, bias, *moves), after)


_plain = convolution.kernels["plain"]


def _dilated(x: Tensor, weight: Tensor, bias: Tensor | None, moves: Geometry, after: Followers) -> Tensor:
    if not _is_pointwise(weight, moves):
        return _plain(x, weight, bias, moves, after)
    return follow(F.conv2d(x, weight, bias, moves.stride, dilation=DILATION), after)


def _joined(x: Tensor, weight: Tensor, bias: Tensor | None, moves: Geometry, after: Followers) -> Tensor:
    """All in one pass, by oneDNN."""
    if not _joins(x, weight, after):
        return _plain(x, weight, bias, moves, after)
    post_op, bounds = POST_OPS[after.activation]
    operator = torch.ops.mkldnn._convolution_pointwise
    where = (moves.padding, moves.stride, moves.dilation, moves.groups)
    if after.residual is None:
        return operator(x, weight, bias, *where, post_op, bounds, "")
    activation = None if after.activation is None else post_op
    return operator.binary(x, after.residual, weight, bias, *where, "add", 1.0, activation, bounds, None)


def _is_pointwise(weight: Tensor, moves: Geometry) -> bool:
    return weight.shape[2:] == (1, 1) and moves.groups == 1 and moves.padding == (0, 0)


def _joins(x: Tensor, weight: Tensor, after: Followers) -> bool:
    """Whether oneDNN can do all in one: on CPUs without gradients, and in one precision."""
    residual = after.residual
    apart = torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or not (CONVOLVES and x.is_cpu)
    if apart or x.dtype != torch.float32 or weight.dtype != torch.float32:
        return False
    return residual is None or (after.activation != RELU6 and residual.dtype == torch.float32)


def _rule(x: Tensor, weight: Tensor, bias: Tensor | None, moves: Geometry, after: Followers) -> str:
    return "dilated" if CONVOLVES and x.is_cpu and _is_pointwise(weight, moves) else "plain"


def _sizes(
    x: Tensor, weight: Tensor, bias: Tensor | None, moves: Geometry, after: Followers
) -> tuple[int, ...]:
    pixels = roughly(len(x) * x.shape[2] * x.shape[3])
    kinds = (list(POST_OPS).index(after.activation), int(after.residual is not None))
    return (pixels, *weight.shape, moves.stride[0], moves.dilation[0], moves.groups, *kinds)


def _fits(
    name: str, x: Tensor, weight: Tensor, bias: Tensor | None, moves: Geometry, after: Followers
) -> bool:
    """Whether an implementation is another than the plain one."""
    if name == "joined":
        return _joins(x, weight, after)
    return name == "plain" or _is_pointwise(weight, moves)


convolution.add({"dilated": _dilated, "joined": _joined}, rule=_rule, sizes=_sizes, fits=_fits)


class FoldedConv2d(nn.Conv2d):
    """PyTorch's convolution with what follows it, computed by `convolution`; weights and their names are the same."""

    activation: str | None = None
    """key of `POST_OPS`"""

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """B×C×H×W to B×C'×H'×W', with ``residual`` of that shape added before the activation."""
        moves = Geometry(self.stride, self.padding, self.dilation, self.groups)  # type: ignore[arg-type]
        return convolution(x, self.weight, self.bias, moves, Followers(self.activation, residual))
