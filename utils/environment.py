"""Environment variables and malloc, set before PyTorch is imported; counts that a scheduler sets."""

from __future__ import annotations

import ctypes
import os
import sys

from aotlab.utils.errors import require

SPIN_COUNT = 4000
"""Number of spins of a GNU OpenMP thread before it sleeps (default of OpenMP: 300000)."""
SPIN_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables that set how threads wait."""
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Glibc parameters, see mallopt(3)."""
MALLOC_OPTIONS = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 2**26}
"""Options that allocate large blocks on the heap, and return free memory to the system only beyond 2 GiB."""


def prepare_torch() -> None:
    """Set up malloc, and variables that the user has not set; call before importing torch.

    * OpenMP threads spin for a shorter time. PyTorch's threads meet after every operation; on a busy machine, spinning
      threads take the core that the last one needs.
    * The CPU computes what MPS cannot.
    * Malloc of glibc keeps freed memory. By default it returns large blocks to the system and gets zeroed pages for the
      next allocation, which costs tens of thousands of page faults a frame.
    """
    if not any(name in os.environ for name in SPIN_VARIABLES):
        os.environ["GOMP_SPINCOUNT"] = str(SPIN_COUNT)
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    if sys.platform.startswith("linux") and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for name, value in MALLOC_OPTIONS.items():
            libc.mallopt(name, value)


def read_count(name: str) -> int:
    """Return a count that a scheduler sets; raises `InputError` if it is missing or not a whole number."""
    text = os.environ.get(name, "")
    require(text.isdecimal(), f"environment variable {name}={text}: not a whole number; set or unset it")
    return int(text)
