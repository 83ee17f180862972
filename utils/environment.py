"""Environment variables, set before PyTorch is imported; counts and cores that a scheduler sets."""

from __future__ import annotations

import os

from aotlab.utils.errors import require

SPIN_COUNT = 4000
"""Number of spins of a GNU OpenMP thread before it sleeps (default of OpenMP: 300000)."""
SPIN_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables that set how threads wait."""


def prepare_torch() -> None:
    """Set environment variables that the user has not set; call before importing torch.

    * OpenMP threads spin for a shorter time. PyTorch's threads meet after every operation; on a busy machine, spinning
      threads take the core that the last one needs.
    * The CPU computes what MPS cannot.
    """
    if not any(name in os.environ for name in SPIN_VARIABLES):
        os.environ["GOMP_SPINCOUNT"] = str(SPIN_COUNT)
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")


def count_cores() -> int:
    """Return the number of cores that this process may use, which a scheduler can limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_count(name: str) -> int:
    """Return a count that a scheduler sets; raises `InputError` if it is missing or not a whole number."""
    text = os.environ.get(name, "")
    require(
        text.isdecimal(), "not a whole number", subject=f"environment variable {name}={text}", remedy="set or unset it"
    )
    return int(text)
