"""Devices, threads and precision."""

from __future__ import annotations

import logging
import os
import warnings
from functools import lru_cache

import numpy as np
import torch

from aotlab.utils.environment import count_cores
from aotlab.utils.errors import InputError

log = logging.getLogger(__name__)

AUTOCAST_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
"""Types of tensors by name of the reduced precision."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def leave_cores_free(helpers: int) -> None:
    """Reduce the number of PyTorch's threads to leave cores for ``helpers`` threads that read, write and prepare clips.

    At least three quarters of the cores compute; the number stays if the user has set it.
    """
    if any(name in os.environ for name in THREAD_VARIABLES):
        return
    cores = count_cores()
    kept = max(cores - helpers, cores - cores // 4)
    if kept < torch.get_num_threads():
        torch.set_num_threads(kept)


def pick_device(name: str) -> torch.device:
    """Return the device of this name: auto, cpu, cuda, cuda:1, mps, ...; raises `InputError` if it is not available."""
    name = resolve_device(name)
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # fails on the meta device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = f" ({str(error).splitlines()[0]})" if name.startswith("cuda") else ""
        devices = ", ".join(list_devices())
        raise InputError(
            f"not usable here{reason}", subject=f"device {name}", remedy=f"this machine has {devices}"
        ) from error
    if device.type == "mps":
        # PyTorch warns about each one
        warnings.filterwarnings("ignore", message=".*not currently supported on the MPS backend")
        log.warning("device mps: operations that it lacks run on the CPU")
    return device


def resolve_device(name: str) -> str:
    """Return the name of a device as it is; for auto, that of `choose_device`."""
    return choose_device() if name == "auto" else name


@lru_cache
def choose_device() -> str:
    """Return cuda if PyTorch has a CUDA device, else cpu; log the choice and its reason, once per process."""
    if torch.cuda.is_available():
        log.info("device cuda: %s; --device cpu uses the CPU", torch.cuda.get_device_name())
        return "cuda"
    has_support = torch.version.cuda is not None or torch.version.hip is not None
    reason = "PyTorch finds no CUDA device" if has_support else "this build of PyTorch has no CUDA"
    others = "; --device mps uses the GPU" if "mps" in list_devices() else ""
    log.info("device cpu: %s%s", reason, others)
    return "cpu"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return an autocast context for ``precision``; float32 switches autocast off."""
    dtype = AUTOCAST_DTYPES.get(precision)
    return torch.autocast(device.type, dtype, enabled=dtype is not None)


def list_devices() -> list[str]:
    """Return the types of available devices."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return ["cpu"] if accelerator is None else ["cpu", accelerator.type]


def synchronize(device: str | torch.device) -> None:
    """Wait until the device has finished all queued work, for timing."""
    if torch.device(device).type != "cpu":
        torch.accelerator.synchronize(device)


def copy_to_device(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """Copy an array to a device; to a GPU while it still computes the frame before."""
    pixels = torch.from_numpy(np.require(array, requirements=["C", "W"]))
    return (pixels.pin_memory() if device.type == "cuda" else pixels).to(device, non_blocking=True)
