"""Arguments and results of recorded functions, and the check of their operations."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from types import NoneType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

NEEDS_HOST = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
"""Tags of operations that need a tensor's value on the host."""


class Recording(NamedTuple):
    """A function recorded for one combination of shapes, types and numbers."""

    inputs: list[Tensor]
    """Static inputs, to which arguments are copied."""
    result: Any
    """Static result, which the next replay of any recording may overwrite."""
    replay: Callable[[], None]
    constants: list[Tensor]
    """Other tensors that it reads, weights and cached tables, kept at their addresses."""


class OperationCheck(TorchDispatchMode):
    """Raises RuntimeError for operations that a graph cannot replay, and collects tensors that were made before."""

    def __init__(self) -> None:
        super().__init__()
        self.constants: list[Tensor] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if (
            function.namespace == "aten" and function._can_decompose()
        ):  # in inference mode, PyTorch does not do it first
            with self:
                return function.decompose(*args, **(kwargs or {}))
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        name = function.overloadpacket.__name__
        if name.startswith("index"):  # by a mask it has to be counted
            needs_host = any(
                x.dtype in (torch.bool, torch.uint8) for x in tree_leaves(args[1]) if isinstance(x, Tensor)
            )
        else:  # `lift_fresh`: a tensor of Python's numbers
            needs_host = name == "lift_fresh" or not NEEDS_HOST.isdisjoint(function.tags)
        if needs_host:
            raise RuntimeError(f"{function} needs the host")
        result = function(*args, **(kwargs or {}))
        made = [x for x in tree_leaves(result) if isinstance(x, Tensor)]
        if len({x.device for x in (*given, *made) if x.dim()}) > 1:
            raise RuntimeError(f"{function} copies between devices")
        self.constants += [x for x in given if not hasattr(x, "_made_while_recorded")]
        for x in made:
            if all(x is not argument for argument in given):
                x._made_while_recorded = True  # type: ignore[attr-defined]
        return result


def flatten(value: Any, tensors: list[Tensor]) -> Hashable:
    """Append the tensors in tuples and lists to ``tensors``; return a description of the value without their contents.

    Raises TypeError for values other than tensors, numbers and text.
    """
    if isinstance(value, Tensor):
        tensors.append(value)
        return value.shape, value.stride(), value.dtype
    if isinstance(value, tuple | list):
        return type(value), *(flatten(item, tensors) for item in value)
    if not isinstance(value, int | float | str | NoneType):
        raise TypeError(f"a {type(value).__name__} cannot be recorded")
    return value


def restore(value: Any, tensors: Iterator[Tensor]) -> Any:
    """Return a value with its tensors replaced in the order of `flatten`."""
    if isinstance(value, Tensor):
        return next(tensors)
    if isinstance(value, tuple | list):
        items = [restore(item, tensors) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def copy_tensors(value: Any) -> Any:
    """Return a value with copies of its tensors; a tensor that occurs twice is copied once."""
    tensors: list[Tensor] = []
    flatten(value, tensors)
    unique = {id(x): x for x in tensors}
    copies = {
        key: torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=x.device) for key, x in unique.items()
    }
    torch._foreach_copy_(list(copies.values()), list(unique.values()))
    return restore(value, iter(copies[id(x)] for x in tensors))
