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


class Form(NamedTuple):
    """Stride, padding, dilation and groups of a convolution, and what follows it."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    activation: str | None = None
    """key of `POST_OPS`, applied last"""
    residual: Tensor | None = None
    """a map like the result, which is added to it"""


def follow(result: Tensor, activation: str | None, residual: Tensor | None) -> Tensor:
    """Add ``residual`` to a convolution's result and apply ``activation``, as `Form` has them, in place."""
    if residual is not None:
        result += residual
    if activation is None:
        return result
    return F.relu(result, inplace=True) if activation == RELU else F.relu6(result, inplace=True)


@Operation
def convolution(x: Tensor, weight: Tensor, bias: Tensor | None, form: Form) -> Tensor:
    """x B×C×H×W, weight C'×(C/groups)×k×k and bias C' or None to B×C'×H'×W'."""
    return follow(F.conv2d(x, weight, bias, *form[:4]), form.activation, form.residual)


_plain = convolution.kernels["plain"]


def _dilated(x: Tensor, weight: Tensor, bias: Tensor | None, form: Form) -> Tensor:
    if not _is_pointwise(weight, form):
        return _plain(x, weight, bias, form)
    return follow(F.conv2d(x, weight, bias, form.stride, dilation=DILATION), form.activation, form.residual)


def _joined(x: Tensor, weight: Tensor, bias: Tensor | None, form: Form) -> Tensor:
    """All in one pass, by oneDNN."""
    if not _joins(x, weight, form):
        return _plain(x, weight, bias, form)
    post_op, bounds = POST_OPS[form.activation]
    operator = torch.ops.mkldnn._convolution_pointwise
    where = (form.padding, form.stride, form.dilation, form.groups)
    if form.residual is None:
        return operator(x, weight, bias, *where, post_op, bounds, "")
    activation = None if form.activation is None else post_op
    return operator.binary(x, form.residual, weight, bias, *where, "add", 1.0, activation, bounds, None)


def _is_pointwise(weight: Tensor, form: Form) -> bool:
    return weight.shape[2:] == (1, 1) and form.groups == 1 and form.padding == (0, 0)


def _joins(x: Tensor, weight: Tensor, form: Form) -> bool:
    """Whether oneDNN can do all in one: on CPUs without gradients, and in one precision."""
    residual = form.residual
    apart = torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or not (CONVOLVES and x.is_cpu)
    if apart or x.dtype != torch.float32 or weight.dtype != torch.float32:
        return False
    return residual is None or (form.activation != RELU6 and residual.dtype == torch.float32)


def _rule(x: Tensor, weight: Tensor, bias: Tensor | None, form: Form) -> str:
    return "dilated" if CONVOLVES and x.is_cpu and _is_pointwise(weight, form) else "plain"


def _sizes(x: Tensor, weight: Tensor, bias: Tensor | None, form: Form) -> tuple[int, ...]:
    pixels = roughly(len(x) * x.shape[2] * x.shape[3])
    kinds = (list(POST_OPS).index(form.activation), int(form.residual is not None))
    return (pixels, *weight.shape, form.stride[0], form.dilation[0], form.groups, *kinds)


def _fits(name: str, x: Tensor, weight: Tensor, bias: Tensor | None, form: Form) -> bool:
    """Whether an implementation is another than the plain one."""
    if name == "joined":
        return _joins(x, weight, form)
    return name == "plain" or _is_pointwise(weight, form)


convolution.add({"dilated": _dilated, "joined": _joined}, rule=_rule, sizes=_sizes, fits=_fits)


class FoldedConv2d(nn.Conv2d):
    """PyTorch's convolution with what follows it, computed by `convolution`; weights and their names are the same."""

    activation: str | None = None
    """key of `POST_OPS`"""

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """B×C×H×W to B×C'×H'×W', with ``residual`` of that shape added before the activation."""
        form = Form(self.stride, self.padding, self.dilation, self.groups, self.activation, residual)  # type: ignore[arg-type]
        return convolution(x, self.weight, self.bias, form)
