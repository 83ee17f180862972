"""How the C library hands out memory, which costs a video model more than it should."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4
"""numbers of glibc's settings, see mallopt(3)"""
KEEPING = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 2**26}
"""no mapping of its own for a large block; what lies free at the end of the heap is given back beyond 2 GiB"""
USUAL = {MMAP_MAX: 2**16, MMAP_THRESHOLD: 2**25, TRIM_THRESHOLD: 2**26, TOP_PAD: 2**17}
"""what glibc comes to by itself in a program with large blocks"""


def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees for what it asks for next; returns whether that worked.

    By itself glibc gives large blocks back to the system when they are freed and gets new, zeroed pages for the
    next: tens of thousands of page faults a frame. Elsewhere than on glibc nothing happens.
    """
    return _set(KEEPING)


def give_freed_memory_back() -> bool:
    """What glibc does by itself, after `keep_freed_memory`, whose memory goes back now; returns whether that worked."""
    worked = _set(USUAL)
    if worked:
        ctypes.CDLL(None).malloc_trim(0)
    return worked


def _set(settings: Mapping[int, int]) -> bool:
    """Make settings of glibc's malloc, where that is what this process has."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    if mallopt is None:
        return False
    made = [mallopt(name, value) == 1 for name, value in settings.items()]
    return all(made)
