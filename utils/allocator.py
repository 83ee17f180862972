"""Settings of glibc's malloc, whose defaults are slow for video models."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4
"""glibc parameters, see mallopt(3)"""
KEEPING = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 2**26}
"""no separate mapping for large blocks; free memory at the end of the heap is returned only beyond 2 GiB"""


def keep_freed_memory() -> bool:
    """Make malloc keep freed memory for reuse; return whether that worked.

    By default glibc returns large freed blocks to the system and gets zeroed pages for the next allocation, which costs
    tens of thousands of page faults a frame. No effect without glibc.
    """
    return set_malloc(KEEPING)


def set_malloc(settings: Mapping[int, int]) -> bool:
    """Set malloc parameters, if this process uses glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    if mallopt is None:
        return False
    made = [mallopt(name, value) == 1 for name, value in settings.items()]
    return all(made)
