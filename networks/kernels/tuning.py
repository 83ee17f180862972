"""Which implementation of each product is fastest on this machine, found by timing them once for the shapes at hand.

Choices are kept in a file, by processor, library versions, threads, precision and class of shapes, so that a program
finds them made. ``AOTLAB_TUNE`` says where: ``on`` (as when it is not set) in the user's cache, ``off`` nowhere, with a
fixed choice in place of timing, or the path of a file.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.networks.kernels import products
from aotlab.networks.kernels.products import Chooser, Product, by_rule
from aotlab.utils.environment import processor_name
from aotlab.utils.errors import InputError
from aotlab.utils.files import make_folder, user_cache
from aotlab.utils.locks import locked
from aotlab.utils.own_files import Kind, read_usable, write_own

TIMINGS = Kind("cache of timings", 1, "they are measured again")
VARIABLE = "AOTLAB_TUNE"
ENOUGH = 0.02
"""seconds after which an implementation has been timed long enough"""
TOKENS, CHANNELS = 1620, 1024
"""of the product by which precisions are compared"""
PATIENCE = 10.0
"""seconds to wait for another process that writes the file of choices"""
ROUNDS = 3
"""how often each implementation is timed at most, in turn"""

CLOCK = time.thread_time if time.get_clock_info("thread_time").resolution < 1e-6 else time.perf_counter
"""The calling thread's own time, where that is known exactly: what other programs do meanwhile is not in it."""

_log = logging.getLogger(__name__)


class Timing(NamedTuple):
    """The implementations of a product for a class of arguments."""

    choice: str
    """the fastest"""
    seconds: Mapping[str, float]
    """the least of each"""
    fixed: str
    """what would be chosen without timing"""


class Tuner:
    """Chooses the fastest implementation of a product for its arguments, timing them when they are of a new class."""

    def __init__(self, path: Path | None = None) -> None:
        """``path``: of the file that keeps choices, which need not exist; None keeps them in memory alone."""
        self.path = path
        self.timings: dict[str, Timing] = {}
        """by class of arguments, for `machine_name`"""
        self._choices: dict[tuple[object, ...], str] = {}
        if path is not None:
            self.timings.update(_read(path).get(machine_name(), {}))

    def __call__(self, product: Product, args: tuple[Any, ...]) -> str:
        """The name of an implementation; the fixed choice where there is only one, and on other devices than CPUs."""
        if args[0].device.type != "cpu":
            return by_rule(product, args)
        key = _key(product, args)
        if key not in self._choices:
            self._choices[key] = self._choose(product, args, _class_name(key))
        return self._choices[key]

    def _choose(self, product: Product, args: tuple[Any, ...], name: str) -> str:
        """The choice for a class of arguments, timed unless it is known or there is nothing to choose."""
        fitting = [name for name in product.implementations if product.fits(name, *args)]
        if len(fitting) < 2:
            return fitting[0]
        known = self.timings.get(name)
        if known is None or set(known.seconds) != set(fitting):  # another version had other implementations
            self.timings[name] = time_implementations(product, args)
            self._save()
        return self.timings[name].choice

    def _save(self) -> None:
        """Write all timings, beside those of other machines; a file that cannot be written is passed over."""
        if self.path is None:
            return
        try:
            make_folder(self.path.parent)
            with locked(self.path.with_name(f".{self.path.name}.lock"), PATIENCE):
                kept = _read(self.path)
                kept[machine_name()] = {**kept.get(machine_name(), {}), **self.timings}
                write_own(self.path, TIMINGS, {"machines": kept})
        except (OSError, ValueError) as error:
            _log.warning("%s: choices of products are not kept (%s)", self.path, error)
            self.path = None


def time_implementations(product: Product, args: tuple[Any, ...]) -> Timing:
    """Run every implementation that fits the arguments, in turn; with gradients where an argument needs them."""
    names = [name for name in product.implementations if product.fits(name, *args)]
    needs = [isinstance(arg, Tensor) and arg.requires_grad and torch.is_grad_enabled() for arg in args]
    copies = tuple(
        arg.detach().requires_grad_(need) if isinstance(arg, Tensor) else arg
        for arg, need in zip(args, needs, strict=True)
    )
    leaves = [copy for copy, need in zip(copies, needs, strict=True) if need]
    least = dict.fromkeys(names, float("inf"))
    spent = dict.fromkeys(names, 0.0)
    for turn in range(ROUNDS + 1):
        for name in names:
            if spent[name] > ENOUGH or spent[name] > 4 * ENOUGH + 2 * min(spent.values()):
                continue
            begin = CLOCK()
            result = product.implementations[name](*copies)
            if leaves:
                # as dense as gradients of layers are; that of a sum is one number for all
                torch.autograd.grad(result, leaves, torch.ones_like(result))
            seconds = CLOCK() - begin
            if turn or seconds > ENOUGH:  # the first run of a short one prepares kernels
                spent[name] += seconds
                least[name] = min(least[name], seconds)
    return Timing(min(names, key=lambda name: least[name]), least, product.rule(*args))


def fastest_precision(precision: str, device: torch.device) -> str:
    """The precision itself; for auto bfloat16 where the device has units for it, else float32.

    A CPU has such units where a large product is faster in bfloat16.
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    with torch.no_grad():
        operands = (torch.ones(TOKENS, CHANNELS), torch.ones(CHANNELS, CHANNELS))
        return products.chosen(precision_product, operands)


def _in_float32(x: Tensor, weight: Tensor) -> Tensor:
    return F.linear(x, weight)


def _in_bfloat16(x: Tensor, weight: Tensor) -> Tensor:
    """Inputs and weights are converted, as autocast does it."""
    return F.linear(x.bfloat16(), weight.bfloat16()).float()


precision_product = Product(
    "precision",
    {"float32": _in_float32, "bfloat16": _in_bfloat16},
    lambda *_: "float32",
    lambda x, weight: (*x.shape, len(weight)),
)
"""one product in either precision: what ``auto`` asks for"""


def machine_name() -> str:
    """What choices depend on besides the arguments: processor, instructions, library versions and threads."""
    return (
        f"{processor_name()}, {torch.backends.cpu.get_cpu_capability()}, PyTorch {torch.__version__}, "
        f"Python {platform.python_version()}, {torch.get_num_threads()} threads"
    )


@cache
def machine_chooser() -> Chooser:
    """What ``AOTLAB_TUNE`` asks for, read when first needed."""
    setting = os.environ.get(VARIABLE, "on")
    if setting == "off":
        return by_rule
    try:
        return Tuner(default_path() if setting in ("", "on") else Path(setting))
    except InputError as error:
        _log.warning("choices of products are not kept (%s)", error)
        return Tuner()


def default_path() -> Path:
    """The file in the user's cache."""
    return user_cache() / "products.json"


def _key(product: Product, args: Sequence[Any]) -> tuple[object, ...]:
    """What arguments have in common that one choice is made for: channels as they are, numbers of tokens roughly."""
    gradients = products.needs_gradients(*args)
    autocast = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
    return (product.name, args[0].dtype, autocast, gradients, torch.get_num_threads(), *product.sizes(*args))


def _class_name(key: tuple[object, ...]) -> str:
    """The same as text."""
    name, dtype, autocast, gradients, threads, *sizes = key
    precision = str(autocast or dtype).removeprefix("torch.")
    return f"{name} {'x'.join(map(str, sizes))} {precision}{', gradients' if gradients else ''}, {threads} threads"


def _read(path: Path) -> dict[str, dict[str, Timing]]:
    """Timings by machine and class; nothing if there is no such file, or a damaged one, which the log names."""
    found = read_usable(path, TIMINGS, lambda content: content["machines"]) or {}
    return {
        machine: {name: Timing(*timing) for name, timing in timings.items()}
        for machine, timings in found.items()
    }
