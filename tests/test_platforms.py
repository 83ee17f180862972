"""Windows, macOS and MPS on the way of track, annotate, mask and score; other systems are simulated."""

from __future__ import annotations

import importlib
import os
import re
import signal
import sys
import warnings
from pathlib import Path

import pytest
import torch

from aotlab.utils import allocator, devices, locks, processes, signals
from aotlab.utils.environment import FALLBACK, enable_fallback

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    "utils",
    "configs",
    "media",
    "masks",
    "networks",
    "evaluation",
    "engine",
    "prompts",
    "annotation",
    "tools",
)
UNIX = re.compile(
    r"(?:import (?:fcntl|resource|pwd|grp|termios|pty)\b|signal\.SIG(?:HUP|KILL|USR|ALRM|CHLD|PIPE)"
    r"|os\.(?:fork|mkfifo|mknod|getuid|geteuid|getpgid|setsid|killpg|sched_\w+|sendfile|kill)\b|CDLL\(|/proc/|/dev/shm)"
)
GUARDED = {
    "utils/allocator.py": ["CDLL("],  # on Linux only, simulated below
    "utils/devices.py": ["os.sched_getaffinity"],
    "utils/environment.py": ["/proc/"],
    "utils/files.py": ["/proc/"],  # compared with, never opened
    "utils/locks.py": ["os.kill"],
    "utils/processes.py": ["import resource"],
}


def test_nothing_that_only_unix_has_is_used_without_a_guard():
    found: dict[str, set[str]] = {}
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for match in UNIX.finditer(path.read_text(encoding="utf-8")):
            found.setdefault(str(path.relative_to(ROOT)), set()).add(match[0])
    assert {name: sorted(uses) for name, uses in found.items()} == GUARDED


def test_a_system_without_hangup_signals_ends_by_the_others(monkeypatch):
    monkeypatch.delattr(signal, "SIGHUP", raising=False)
    try:
        assert [one.name for one in importlib.reload(signals).ENDING] == ["SIGINT", "SIGTERM"]
    finally:
        monkeypatch.undo()
        importlib.reload(signals)


def test_without_cpu_affinity_glibc_and_resource(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)
    assert devices._cores() == os.cpu_count()
    assert not allocator.keep_freed_memory()
    assert processes.peak_resident_bytes() is None


def test_on_windows_leftovers_are_removed_by_age_and_no_process_is_signalled(monkeypatch, tmp_path):
    old, new = (tmp_path / f".a.{number}.part.png" for number in (1, 2))
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    monkeypatch.setattr(locks.os, "kill", lambda *_: pytest.fail("signal 0 ends a process on Windows"))
    monkeypatch.setattr(locks, "POSIX", False)
    locks.remove_leftovers(tmp_path)
    assert (old.exists(), new.exists()) == (False, True)


def test_operations_that_mps_lacks_fall_back_with_one_warning(monkeypatch, caplog):
    environ: dict[str, str] = {}
    enable_fallback(environ)
    assert environ[FALLBACK] == "1"
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *size, device: empty(*size))
    with warnings.catch_warnings(record=True) as caught:
        assert devices.pick_device("mps").type == "mps"
        for operation in ("aten::a", "aten::b"):
            warnings.warn(
                f"The operator '{operation}' is not currently supported on the MPS backend", stacklevel=1
            )
    assert caught == []
    assert caplog.text.count("run on the CPU") == 1
