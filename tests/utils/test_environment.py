"""Environment variables, malloc, and messages of torch.compile."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from aotlab.utils.environment import (
    COMPILE_LOGGERS,
    SPIN_COUNT,
    WAITING,
    announce_compilation,
    keep_freed_memory,
    set_waiting,
)

HUGE_PAGES = 4 * 64 // 2
"""page faults that four blocks of 64 MiB take at least, with pages of 2 MiB"""
SCRIPT = """
import resource
import numpy as np
from aotlab.utils.environment import MMAP_MAX, MMAP_THRESHOLD, TOP_PAD, TRIM_THRESHOLD, keep_freed_memory, set_malloc

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


def test_spin_count_is_set_unless_the_user_did():
    environ = {"PATH": "/bin"}
    set_waiting(environ)
    assert environ == {"PATH": "/bin", "GOMP_SPINCOUNT": str(SPIN_COUNT)}
    for name in WAITING:
        environ = {name: "something"}
        set_waiting(environ)
        assert environ == {name: "something"}


def test_environment_loads_no_pytorch():
    code = "import sys, aotlab.utils.environment; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_freed_memory_is_reused():
    if not keep_freed_memory():
        pytest.skip("the C library is not glibc")
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run([sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True, check=True)
    usual, kept, given_back = map(int, run.stdout.split())
    assert usual >= HUGE_PAGES
    assert kept < HUGE_PAGES / 4  # the interpreter's own
    assert given_back >= HUGE_PAGES * 3 / 4  # the first block may reuse the heap


def test_compilation_is_announced_and_logged_to_a_file(tmp_path, monkeypatch, caplog, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    loggers = [logging.getLogger(name) for name in COMPILE_LOGGERS]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    try:
        with caplog.at_level(logging.INFO):
            announce_compilation()
        logging.getLogger("torch._dynamo").warning("recompiled")
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
    assert [record.message[:19] for record in caplog.records] == ["compiling the model"]
    assert "recompiled" in (tmp_path / "aotlab" / "compile.log").read_text()
    assert capsys.readouterr().err == ""
