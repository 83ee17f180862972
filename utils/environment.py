"""Settings of OpenMP, malloc and MPS before PyTorch is imported; variables of torchrun."""

from __future__ import annotations

import ctypes
import os
import sys

from aotlab.utils.errors import require

SPIN_COUNT = 4000
"""Number of spins of a GNU OpenMP thread before it sleeps (default of OpenMP: 300000). Measured in docs/speed.md."""
SPIN_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables that set how threads wait."""
MPS_FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"
"""Environment variable that lets the CPU compute what MPS cannot."""
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Glibc parameters, see mallopt(3)."""
MALLOC_OPTIONS = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 2**26}
"""Options that allocate large blocks on the heap, and return free memory to the system only beyond 2 GiB."""


def limit_spin_waiting() -> None:
    """Shorten the spin-waiting of OpenMP threads, unless set by the user; call before importing torch.

    PyTorch's threads meet after every operation, and waiting threads spin for milliseconds by default. On a busy
    machine they take the core that the last thread needs.
    """
    if not any(name in os.environ for name in SPIN_VARIABLES):
        os.environ["GOMP_SPINCOUNT"] = str(SPIN_COUNT)


def enable_mps_fallback() -> None:
    """Let the CPU compute what MPS cannot, unless set by the user; call before importing torch."""
    os.environ.setdefault(MPS_FALLBACK, "1")


def tune_malloc() -> bool:
    """Make malloc keep freed memory for reuse; return whether that worked.

    By default glibc returns large freed blocks to the system and gets zeroed pages for the next allocation, which costs
    tens of thousands of page faults a frame. No effect without glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    if mallopt is None:
        return False
    return 0 not in [mallopt(name, value) for name, value in MALLOC_OPTIONS.items()]


def count_ranks() -> int:
    """Return the number of processes started by torchrun, 1 without it; raises `InputError` if it is not a number."""
    return read_count("WORLD_SIZE", minimum=1) if "WORLD_SIZE" in os.environ else 1


def read_count(name: str, minimum: int = 0) -> int:
    """Return an integer that a scheduler sets; raises `InputError` if it is not one of ``minimum`` or more."""
    text = os.environ.get(name, "")
    require(
        text.isdecimal() and int(text) >= minimum,
        f"environment variable {name}={text}: not a whole number of {minimum} or more; set or unset it",
    )
    return int(text)
