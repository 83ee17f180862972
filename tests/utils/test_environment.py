"""Environment variables, malloc, and messages of torch.compile."""

import logging
import os
from unittest.mock import Mock

import pytest

from aotlab.networks.fast.optimize import compile_parts
from aotlab.utils.environment import SPIN_COUNT, SPIN_VARIABLES, limit_spin_waiting, tune_malloc
from tests.processes import run_python

HUGE_PAGES = 4 * 64 // 2
"""Page faults that four blocks of 64 MiB take at least, with pages of 2 MiB."""
SCRIPT = """
import resource
import numpy as np
from aotlab.utils.environment import tune_malloc

def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.ones(size * 2**20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual = faults(64)
tune_malloc()
faults(64)  # the heap grows once
kept = faults(64)
print(usual, kept)
"""


@pytest.mark.parametrize("name", SPIN_VARIABLES)
def test_spin_count_is_set_unless_the_user_did(name, monkeypatch):
    monkeypatch.setattr(os, "environ", {})
    limit_spin_waiting()
    assert os.environ == {"GOMP_SPINCOUNT": str(SPIN_COUNT)}
    monkeypatch.setattr(os, "environ", {name: "something"})
    limit_spin_waiting()
    assert os.environ == {name: "something"}


def test_freed_memory_is_reused():
    if not tune_malloc():
        pytest.skip("the C library is not glibc")
    run = run_python("-c", SCRIPT, check=True)
    usual, kept = map(int, run.stdout.split())
    assert usual >= HUGE_PAGES
    assert kept < HUGE_PAGES / 4  # the interpreter's own


def test_compilation_is_announced_without_warnings(caplog):
    with caplog.at_level(logging.INFO):
        compile_parts(Mock(active_blocks=[]))
        logging.getLogger("torch._dynamo").warning("recompiled")
    assert [record.message[:19] for record in caplog.records] == ["compiling the model"]
