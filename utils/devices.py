"""Where to compute."""

from __future__ import annotations

import os

import torch

from aotlab.utils.errors import InputError

AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}
"""what each precision computes in, besides float32"""

CHOSEN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""variables by which a user chooses the number of threads"""


def leave_cores(helpers: int) -> None:
    """Let PyTorch use fewer threads where helpers of a program need cores: those that read, write and prepare clips.

    At most a quarter of the threads is given up, as helpers mostly wait. What a user has chosen stays.

    Args:
        helpers: threads or processes that compute beside PyTorch.
    """
    if any(name in os.environ for name in CHOSEN):
        return
    threads = torch.get_num_threads()
    kept = max(_cores() - helpers, threads - threads // 4)
    if kept < threads:
        torch.set_num_threads(kept)


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pick_device(name: str) -> torch.device:
    """The device called ``name``: cpu, cuda, cuda:1, mps, ...

    Raises:
        InputError: unknown, or not on this machine; those that are here are named.
    """
    here = f"this machine has {', '.join(usable_devices())}"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device {name}: no such device; {here}") from error
    if device.type == "meta":
        raise InputError(f"device {name}: holds no values; {here}")
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = f" ({str(error).splitlines()[0]})" if device.type == "cuda" else ""
        raise InputError(f"device {name}: not usable here{reason}; {here}") from error
    return device


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context in which a device computes in ``precision``; float32 is as if there were none."""
    dtype = AUTOCAST.get(precision)
    return torch.autocast(device.type, dtype, enabled=dtype is not None)


def usable_devices() -> list[str]:
    """Kinds of devices that compute here."""
    found = ["cpu"]
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def settle(device: str | torch.device) -> None:
    """Wait until the device has done all it was told, so that a clock means something."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
