"""Freed memory that stays with the process."""

from __future__ import annotations

import resource
import sys

import numpy as np
import pytest

from utils.allocator import give_freed_memory_back, keep_freed_memory

BLOCK = 64 * 2**20


def page_faults() -> int:
    """Of this process, while it fills and frees a large block four times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.ones(BLOCK, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.fixture
def glibc():
    if not keep_freed_memory():
        pytest.skip("the C library is not glibc")
    yield
    keep_freed_memory()


def test_a_large_block_takes_the_pages_of_the_one_before(glibc):
    page_faults()  # the heap grows once
    kept = page_faults()
    give_freed_memory_back()
    # a huge page of 2 MiB is one fault; kept memory takes none but the interpreter's own
    assert kept < 4 * BLOCK // 2**21
    assert page_faults() >= 4 * BLOCK // 2**21


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
