"""Matrix products, each with several exact implementations of which one is chosen: what a machine needs to be fast.

PyTorch leaves float32 matrix products on a CPU to MKL, which uses AVX-512 on some processors alone, and convolutions to
oneDNN, which uses what there is. So products are also written as convolutions, of tokens as the pixels of a map. Which
is faster depends on the machine: `networks.tuning` finds out by timing, and `use` chooses otherwise.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, wraps
from types import MappingProxyType
from typing import Any, ParamSpec

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Implementation = Callable[..., Tensor]
Arguments = ParamSpec("Arguments")

CONVOLVES = torch.backends.mkldnn.is_available()
"""whether a CPU's products are convolutions where nothing else is chosen"""
DILATION = 2
"""of kernels of one pixel, for which it means nothing; without it a single thread's would not be given to oneDNN"""


def _always(name: str, *args: Any) -> bool:
    return True


@dataclass(frozen=True)
class Product:
    """A function with several implementations that compute the same but for the order of sums."""

    name: str
    implementations: Mapping[str, Implementation]
    rule: Callable[..., str]
    """the fixed choice for some arguments, where none is made by timing"""
    sizes: Callable[..., tuple[int, ...]]
    """what the choice depends on of the arguments' shapes, the same for shapes that are roughly alike"""
    fits: Callable[..., bool] = _always
    """whether an implementation may be chosen by timing, by its name and the arguments"""

    def __call__(self, *args: Any) -> Tensor:
        """Compute by the implementation that is chosen."""
        choice = _choices.get().get(self.name)
        if choice is None:
            choice = self.rule(*args) if torch.compiler.is_compiling() else chosen(self, args)
        return (self.implementations[choice] if isinstance(choice, str) else choice)(*args)


Choices = Mapping[str, str | Implementation]
Chooser = Callable[[Product, tuple[Any, ...]], str]
_choices: ContextVar[Choices] = ContextVar("choices", default=MappingProxyType({}))
_chosen_chooser: ContextVar[Chooser | None] = ContextVar("chooser", default=None)


@contextmanager
def use(choices: str | Choices | Chooser) -> Iterator[None]:
    """Choose implementations for as long as the context lasts, in this thread; others stay as they are.

    Args:
        choices: a name in `SETS`; by the name of a product that of an implementation, or a function to replace it; or a
            function that chooses for a product and its arguments, for those that are not named.

    Raises:
        ValueError: no such set.
    """
    if isinstance(choices, str):
        if choices not in SETS:
            raise ValueError(f"products: must be one of {', '.join(SETS)}, got {choices}")
        choices = SETS[choices]
    if callable(choices):
        chooser = _chosen_chooser.set(choices)
        try:
            yield
        finally:
            _chosen_chooser.reset(chooser)
        return
    before = _choices.set({**_choices.get(), **choices})
    try:
        yield
    finally:
        _choices.reset(before)


def by_rule(product: Product, args: tuple[Any, ...]) -> str:
    """The fixed choice."""
    return product.rule(*args)


def chosen(product: Product, args: tuple[Any, ...]) -> str:
    """The name of the implementation that is chosen where none is by name."""
    return (_chosen_chooser.get() or _machine_chooser())(product, args)


@cache
def _machine_chooser() -> Chooser:
    from aotlab.networks.kernels.tuning import machine_chooser  # which imports this module

    return machine_chooser()


def roughly(count: int) -> int:
    """A number rounded up to a power of two."""
    return 1 << max(count - 1, 0).bit_length()


def replaceable(function: Callable[Arguments, Tensor]) -> Callable[Arguments, Tensor]:
    """A function that `use` can replace as a whole, under its name."""

    @wraps(function)
    def chosen(*args: Arguments.args, **options: Arguments.kwargs) -> Tensor:
        replacement = _choices.get().get(function.__name__, function)
        assert callable(replacement)
        return replacement(*args, **options)

    return chosen


def needs_gradients(*args: object) -> bool:
    """Whether gradients will be asked of what is computed from these arguments, as far as they are tensors."""
    return torch.is_grad_enabled() and any(isinstance(arg, Tensor) and arg.requires_grad for arg in args)


def onednn_can(*tensors: Tensor) -> bool:
    """Whether oneDNN has products for such tensors in the precision that they are computed in; never for gradients."""
    kinds = (torch.float32, torch.bfloat16)
    known = all(x.is_cpu and x.dtype in kinds and computed_in(x) in kinds for x in tensors)
    there = CONVOLVES and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return known and there and not needs_gradients(*tensors)


def onednn_linear(x: Tensor, weight: Tensor) -> Tensor:
    """``x`` N×C times ``weight`` D×C transposed, of one dtype, which PyTorch leaves to MKL where that is float32.

    Both are in order in memory, or their transposes are: for others oneDNN takes seconds.
    """
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
    return result


def computed_in(x: Tensor) -> torch.dtype:
    """What products of a tensor are computed in: its dtype, or autocast's."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def _convolved_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A linear layer as a convolution of a map that is one pixel high."""
    pixels = x.flatten(0, -2)[None, None].permute(0, 3, 1, 2)  # 1×C×1×N
    result = F.conv2d(pixels, weight[:, :, None, None], bias, dilation=DILATION)  # 1×C'×1×N
    return result.permute(0, 2, 3, 1).view(*x.shape[:-1], -1)


def _linear_rule(x: Tensor, *_: object) -> str:
    return "convolution" if CONVOLVES and x.is_cpu else "matrix"


def _linear_sizes(x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[int, ...]:
    return (roughly(x.numel() // x.shape[-1]), *weight.shape)


linear = Product(
    "linear", {"matrix": F.linear, "convolution": _convolved_linear}, _linear_rule, _linear_sizes
)
"""x ...×C, weight C'×C and bias C' or None to ...×C'"""


def _matrix_batch(left: Tensor, right: Tensor) -> Tensor:
    """PyTorch's own."""
    return torch.bmm(left, right.reshape(len(left), left.shape[2], -1))


def _convolved_batch(left: Tensor, right: Tensor) -> Tensor:
    """One convolution of many groups."""
    pixels = left.transpose(0, 1).flatten(1)[None, None].permute(0, 3, 1, 2)  # 1×(N·K)×1×M
    kernels = right.reshape(pixels.shape[1], -1, 1, 1)  # (N·K)×D×1×1
    groups = F.conv_transpose2d(pixels, kernels, groups=len(left), dilation=DILATION)
    return groups[0, :, 0].mT.unflatten(1, (len(left), -1)).transpose(0, 1)


def _onednn_batch(left: Tensor, right: Tensor) -> Tensor:
    """oneDNN's products, one after another, each of a copy of a matrix that stays in the cache."""
    if not onednn_can(left, right):
        return _matrix_batch(left, right)
    dtype, axes = computed_in(left), 1
    while math.prod(right.shape[:axes]) < len(left):
        axes += 1
    results = []
    for matrix, index in zip(left.to(dtype), itertools.product(*map(range, right.shape[:axes])), strict=True):
        other = right[index].to(dtype).reshape(matrix.shape[1], -1).contiguous()
        results.append(onednn_linear(matrix.contiguous(), other.mT))
    return torch.stack(results)


def _batch_rule(left: Tensor, right: Tensor) -> str:
    return "convolution" if CONVOLVES and left.is_cpu else "matrix"


def _batch_sizes(left: Tensor, right: Tensor) -> tuple[int, ...]:
    return (roughly(len(left)), left.shape[1], left.shape[2], right.shape[-1])


def _batch_fits(name: str, left: Tensor, right: Tensor) -> bool:
    return name != "onednn" or onednn_can(left, right)


batch = Product(
    "batch",
    {"matrix": _matrix_batch, "convolution": _convolved_batch, "onednn": _onednn_batch},
    _batch_rule, _batch_sizes, _batch_fits,
)  # fmt: skip
"""N products: N×M×K, best with the rows of all products side by side in memory, and N×K×D to N×M×D

The second may have more axes, of which the first come to N and the others but the last to K: views of parts of a map.
"""

PLAIN: Choices = {
    "linear": "matrix", "convolution": "plain", "depthwise": "plain", "attention": "fused", "batch": "matrix",
    "resize": "interpolated",
}  # fmt: skip
SETS: Mapping[str, Choices] = {
    "plain": PLAIN,
    "matrices": {**PLAIN, "convolution": "matrix", "attention": "matrix"},
    "split": {**PLAIN, "attention": "split"},
    "onednn": {**PLAIN, "attention": "onednn", "batch": "onednn"},
    "joined": {**PLAIN, "convolution": "joined", "attention": "copied", "resize": "by_axis"},
    "convolutions": {
        "linear": "convolution", "convolution": "dilated", "depthwise": "convolved", "attention": "convolution",
        "batch": "convolution",
    },
    "exportable": {**PLAIN, "windows": "padded", "spread": "padded"},
}  # fmt: skip
"""choices by name; exportable: of operations that every runtime has"""


class Linear(nn.Linear):
    """PyTorch's linear layer, computed by `linear`; weights and their names are the same."""

    def forward(self, x: Tensor) -> Tensor:
        """...×C to ...×C'."""
        return linear(x, self.weight, self.bias)


def replace_linear(module: nn.Module) -> None:
    """Put a `Linear` with the same weights in place of every plain linear layer inside a module."""
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            with torch.device("meta"):
                layer = Linear(child.in_features, child.out_features, bias=child.bias is not None)
            layer.weight, layer.bias = child.weight, child.bias
            setattr(module, name, layer)
        else:
            replace_linear(child)
