"""Environment variables, malloc, and messages of torch.compile."""

import logging
import os
import platform
from unittest.mock import Mock

import pytest

from aotlab.networks.fast.optimize import compile_parts
from aotlab.utils.environment import SPIN_COUNT, SPIN_VARIABLES, prepare_torch
from tests.processes import run_python

MPS = "PYTORCH_ENABLE_MPS_FALLBACK"
HUGE_PAGES = 4 * 64 // 2
"""Page faults that four blocks of 64 MiB take at least, with pages of 2 MiB."""
SCRIPT = """
import resource
import numpy as np
from aotlab.utils.environment import prepare_torch

def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.ones(size * 2**20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual = faults(64)
prepare_torch()
faults(64)  # the heap grows once
kept = faults(64)
print(usual, kept)
"""


@pytest.mark.parametrize("name", SPIN_VARIABLES)
def test_spin_count_is_set_unless_the_user_did(name, monkeypatch):
    monkeypatch.setattr(os, "environ", {})
    prepare_torch()
    assert os.environ == {"GOMP_SPINCOUNT": str(SPIN_COUNT), MPS: "1"}
    monkeypatch.setattr(os, "environ", {name: "something"})
    prepare_torch()
    assert os.environ == {name: "something", MPS: "1"}


def test_freed_memory_is_reused():
    if platform.libc_ver()[0] != "glibc":
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
