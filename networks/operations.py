"""Operations: functions with a plain definition, which faster kernels may replace.

A kernel computes what the definition does, but for the order of sums. `aotlab.networks.kernels` adds kernels to the
operations of this folder; without it every operation is computed as it is defined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

Kernel = Callable[..., Tensor]
PLAIN = "plain"
"""name of every operation's definition among its kernels"""


class Operation:
    """A function that is computed by the kernel chosen for its arguments; used as a decorator of the definition."""

    def __init__(self, definition: Kernel) -> None:
        """Make an operation named as its definition, which takes positional arguments only."""
        self.name, self.__doc__ = definition.__name__, definition.__doc__
        self.kernels: dict[str, Kernel] = {PLAIN: definition}
        self.rule: Callable[..., str] = lambda *args: PLAIN
        """name of the kernel for some arguments when no chooser is installed"""
        self.sizes: Callable[..., tuple[int, ...]] = lambda *args: ()
        """shapes that a choice depends on, the same for arguments that are roughly alike"""
        self.fits: Callable[..., bool] = lambda name, *args: True
        """whether a chooser may choose a kernel, by its name and the arguments"""

    def add(
        self,
        kernels: Mapping[str, Kernel],
        *,
        rule: Callable[..., str] | None = None,
        sizes: Callable[..., tuple[int, ...]] | None = None,
        fits: Callable[..., bool] | None = None,
    ) -> None:
        """Add kernels by name; the other arguments, if given, replace the attributes of their names."""
        self.kernels.update(kernels)
        self.rule, self.sizes, self.fits = rule or self.rule, sizes or self.sizes, fits or self.fits

    def __call__(self, *args: Any) -> Tensor:
        choice = _choices.get().get(self.name)
        if choice is None:
            choice = self.rule(*args) if torch.compiler.is_compiling() else chosen(self, args)
        return (self.kernels[choice] if isinstance(choice, str) else choice)(*args)


Choices = Mapping[str, str | Kernel]
"""by an operation's name that of one of its kernels, or a function to replace it"""
Chooser = Callable[[Operation, tuple[Any, ...]], str]
"""from an operation and its arguments to the name of a kernel"""


def by_rule(operation: Operation, args: tuple[Any, ...]) -> str:
    """Choose a kernel by the operation's fixed rule."""
    return operation.rule(*args)


_choices: ContextVar[Choices] = ContextVar("choices", default=MappingProxyType({}))
_chooser: ContextVar[Chooser | None] = ContextVar("chooser", default=None)
_installed: list[Chooser] = [by_rule]


@contextmanager
def use(choices: Choices | Chooser) -> Iterator[None]:
    """Choose kernels while the context lasts, in this thread.

    Args:
        choices: kernels of the operations that it names; or a chooser for all that are not named.
    """
    variable: ContextVar[Any] = _chooser if callable(choices) else _choices
    before = variable.set(choices if callable(choices) else {**_choices.get(), **choices})
    try:
        yield
    finally:
        variable.reset(before)


def install(chooser: Chooser) -> None:
    """Choose kernels in all threads of this process, except where `use` chooses otherwise."""
    _installed[0] = chooser


def chosen(operation: Operation, args: tuple[Any, ...]) -> str:
    """The name of the kernel that the chooser in use, or else the installed one, chooses."""
    return (_chooser.get() or _installed[0])(operation, args)
