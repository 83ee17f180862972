"""The fastest kernel of each operation on this machine, found by timing them once for each class of arguments.

Choices are stored in a file, by processor, library versions, threads, precision and class of shapes, and reused by
later programs. ``AOTLAB_TUNE`` is ``on`` (default: a file in the user's cache), ``off`` (no timing, a fixed rule), or
the path of a file.
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

from aotlab.networks.kernels.conditions import needs_gradients
from aotlab.networks.operations import PLAIN, Chooser, Operation, by_rule, chosen
from aotlab.utils.environment import processor_name
from aotlab.utils.errors import InputError
from aotlab.utils.files import make_folder, user_cache
from aotlab.utils.locks import locked
from aotlab.utils.versioned_json import Kind, read_usable, write_own

TIMINGS = Kind("cache of timings", 1, "they are measured again")
VARIABLE = "AOTLAB_TUNE"
ENOUGH = 0.02
"""seconds after which a kernel has been timed long enough"""
PREPARING = 10 * ENOUGH
"""longest first run in seconds that is not counted, as it prepares the kernel"""
TOKENS, CHANNELS = 1620, 1024
"""size of the product by which precisions are compared"""
TIMEOUT = 10.0
"""seconds to wait for another process that writes the file of choices"""
ROUNDS = 3
"""how often each kernel is timed at most, in turn"""

CLOCK = time.thread_time if time.get_clock_info("thread_time").resolution < 1e-6 else time.perf_counter
"""the calling thread's own time, if it is known exactly: other programs do not count"""

_log = logging.getLogger(__name__)


class Timing(NamedTuple):
    """The kernels of an operation, timed for a class of arguments."""

    choice: str
    """the fastest"""
    seconds: Mapping[str, float]
    """shortest time of each"""
    fixed: str
    """choice of the fixed rule"""


class Tuner:
    """A chooser of the fastest kernel, which times all that fit when arguments are of a new class."""

    def __init__(self, path: Path | None = None) -> None:
        """``path``: file that stores choices, which need not exist; None: they are kept in memory only."""
        self.path = path
        self.timings: dict[str, Timing] = {}
        """by class of arguments, of this machine"""
        self._choices: dict[tuple[object, ...], str] = {}
        if path is not None:
            self.timings.update(_read_timings(path).get(machine_name(), {}))

    def __call__(self, operation: Operation, args: tuple[Any, ...]) -> str:
        """The name of a kernel; that of the fixed rule on other devices than CPUs."""
        if args[0].device.type != "cpu":
            return by_rule(operation, args)
        key = _key(operation, args)
        if key not in self._choices:
            self._choices[key] = self._choose(operation, args, _class_name(key))
        return self._choices[key]

    def _choose(self, operation: Operation, args: tuple[Any, ...], name: str) -> str:
        """The choice for a class of arguments, timed unless it is known or there is nothing to choose."""
        fitting = [name for name in operation.kernels if operation.fits(name, *args)]
        if len(fitting) < 2:
            return fitting[0]
        known = self.timings.get(name)
        if known is None or set(known.seconds) != set(fitting):  # another version had other kernels
            self.timings[name] = time_kernels(operation, args, fitting)
            self._save()
        return self.timings[name].choice

    def _save(self) -> None:
        """Write all timings, beside those of other machines; continue without a file if it cannot be written."""
        if self.path is None:
            return
        try:
            make_folder(self.path.parent)
            with locked(self.path.with_name(f".{self.path.name}.lock"), TIMEOUT):
                kept = _read_timings(self.path)
                kept[machine_name()] = {**kept.get(machine_name(), {}), **self.timings}
                write_own(self.path, TIMINGS, {"machines": kept})
        except (OSError, ValueError) as error:
            _log.warning("%s: choices of kernels are not kept (%s)", self.path, error)
            self.path = None


def time_kernels(operation: Operation, args: tuple[Any, ...], names: Sequence[str]) -> Timing:
    """Run the named kernels in turn, with the gradients that arguments need."""
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
            result = operation.kernels[name](*copies)
            if leaves:
                # as dense as gradients of layers are; that of a sum is one number for all
                torch.autograd.grad(result, leaves, torch.ones_like(result))
            seconds = CLOCK() - begin
            if turn or seconds > PREPARING:
                spent[name] += seconds
                least[name] = min(least[name], seconds)
    return Timing(min(names, key=lambda name: least[name]), least, operation.rule(*args))


def fastest_precision(precision: str, device: torch.device) -> str:
    """The precision itself; for auto bfloat16 if the device has units for it, else float32.

    A CPU has such units if a large product is faster in bfloat16.
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    with torch.no_grad():
        operands = (torch.ones(TOKENS, CHANNELS), torch.ones(CHANNELS, CHANNELS))
        choice = chosen(precision_product, operands)
    return "float32" if choice == PLAIN else choice


@Operation
def precision_product(x: Tensor, weight: Tensor) -> Tensor:
    """One product in float32 or, of inputs and weights converted as autocast does, in bfloat16: chosen by ``auto``."""
    return F.linear(x, weight)


def _in_bfloat16(x: Tensor, weight: Tensor) -> Tensor:
    return F.linear(x.bfloat16(), weight.bfloat16()).float()


precision_product.add({"bfloat16": _in_bfloat16}, sizes=lambda x, weight: (*x.shape, len(weight)))


def machine_name() -> str:
    """Processor, instructions, library versions and threads, on which choices depend besides the arguments."""
    return (
        f"{processor_name()}, {torch.backends.cpu.get_cpu_capability()}, PyTorch {torch.__version__}, "
        f"Python {platform.python_version()}, {torch.get_num_threads()} threads"
    )


@cache
def machine_chooser() -> Chooser:
    """The chooser that ``AOTLAB_TUNE`` asks for, read once."""
    setting = os.environ.get(VARIABLE, "on")
    if setting == "off":
        return by_rule
    try:
        return Tuner(default_path() if setting in ("", "on") else Path(setting))
    except InputError as error:
        _log.warning("choices of kernels are not kept (%s)", error)
        return Tuner()


def default_path() -> Path:
    """The file in the user's cache."""
    return user_cache() / "kernels.json"


def _key(operation: Operation, args: Sequence[Any]) -> tuple[object, ...]:
    """The class of some arguments, for which one choice is made: exact channels, rough numbers of tokens."""
    gradients = needs_gradients(*args)
    autocast = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
    return (
        operation.name,
        args[0].dtype,
        autocast,
        gradients,
        torch.get_num_threads(),
        *operation.sizes(*args),
    )


def _class_name(key: tuple[object, ...]) -> str:
    name, dtype, autocast, gradients, threads, *sizes = key
    precision = str(autocast or dtype).removeprefix("torch.")
    return f"{name} {'x'.join(map(str, sizes))} {precision}{', gradients' if gradients else ''}, {threads} threads"


def _read_timings(path: Path) -> dict[str, dict[str, Timing]]:
    """Timings by machine and class; empty for a missing or damaged file; the log names a damaged one."""
    found = read_usable(path, TIMINGS, lambda content: content["machines"]) or {}
    return {
        machine: {name: Timing(*timing) for name, timing in timings.items()}
        for machine, timings in found.items()
    }
