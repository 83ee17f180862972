"""Freed memory that stays with the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aotlab.utils.allocator import keep_freed_memory

HUGE_PAGES = 4 * 64 // 2
"""page faults that four blocks of 64 MiB take at least, with pages of 2 MiB"""
SCRIPT = """
import resource
import numpy as np
from aotlab.utils.allocator import MMAP_MAX, MMAP_THRESHOLD, TOP_PAD, TRIM_THRESHOLD, keep_freed_memory, set_malloc

def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.ones(size * 2**20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual = faults(64)
keep_freed_memory()
faults(64)  # the heap grows once
kept = faults(64)
set_malloc({MMAP_MAX: 2**16, MMAP_THRESHOLD: 2**25, TRIM_THRESHOLD: 2**26, TOP_PAD: 2**17})
print(usual, kept, faults(64))
"""


@pytest.fixture
def glibc():
    if not keep_freed_memory():
        pytest.skip("the C library is not glibc")


def test_a_large_block_takes_the_pages_of_the_one_before(glibc):
    """In a process of its own, whose heap holds nothing yet."""
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run([sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True, check=True)
    usual, kept, given_back = map(int, run.stdout.split())
    assert usual >= HUGE_PAGES
    assert kept < HUGE_PAGES / 4  # the interpreter's own
    assert given_back >= HUGE_PAGES * 3 / 4  # the first block may reuse the heap


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
