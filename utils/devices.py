"""Where to compute."""

from __future__ import annotations

import torch

from aotlab.utils.errors import InputError

AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}
"""what each precision computes in, besides float32"""


def pick_device(name: str) -> torch.device:
    """The device called ``name``: cpu, cuda, cuda:1, mps, ...

    Raises:
        InputError: unknown, or not on this machine.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"--device {name}: not usable here ({str(error).splitlines()[0]}); try cpu or cuda"
        ) from error
    return device


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context in which a device computes in ``precision``; float32 is as if there were none."""
    dtype = AUTOCAST.get(precision)
    return torch.autocast(device.type, dtype, enabled=dtype is not None)


def settle(device: str | torch.device) -> None:
    """Wait until the device has done all it was told, so that a clock means something."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
