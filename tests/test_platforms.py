"""Windows, macOS and MPS on the way of track, annotate, mask and score; other systems are simulated."""

import importlib
import os
import re
import signal
import sys
import warnings
from pathlib import Path

import pytest
import torch

from aotlab.utils import devices, locks, processes
from aotlab.utils.environment import MPS_FALLBACK, enable_mps_fallback, keep_freed_memory
from aotlab.utils.files import host_name

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("utils", "configs", "media", "networks", "evaluation", "engine", "video", "tools")
UNIX = re.compile(
    r"(?:import (?:fcntl|resource|pwd|grp|termios|pty)\b|signal\.SIG(?:HUP|KILL|USR|ALRM|CHLD|PIPE)"
    r"|os\.(?:fork|mkfifo|mknod|getuid|geteuid|getpgid|setsid|killpg|sched_\w+|sendfile|kill)\b|CDLL\(|/proc/|/dev/shm)"
)
GUARDED = {
    "utils/devices.py": ["os.sched_getaffinity"],
    "utils/environment.py": ["/proc/", "CDLL("],  # on Linux only, simulated below
    "utils/files.py": ["/proc/"],  # compared with, never opened
    "utils/locks.py": ["os.kill"],
    "utils/processes.py": ["import resource"],
    "tools/cli/stdio.py": ["os.kill"],  # to end itself, which it does on Windows too
}


def test_unix_only_calls_are_guarded():
    found: dict[str, set[str]] = {}
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for match in UNIX.finditer(path.read_text(encoding="utf-8")):
            found.setdefault(str(path.relative_to(ROOT)), set()).add(match[0])
    assert {name: sorted(uses) for name, uses in found.items()} == GUARDED


def test_system_without_hangup_signal(monkeypatch):
    monkeypatch.delattr(signal, "SIGHUP", raising=False)
    try:
        assert [one.name for one in importlib.reload(processes).STOP_SIGNALS] == ["SIGINT", "SIGTERM"]
    finally:
        monkeypatch.undo()
        importlib.reload(processes)


def test_system_without_affinity_glibc_and_resource(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)
    assert devices._count_cores() == os.cpu_count()
    assert not keep_freed_memory()
    assert processes.peak_resident_bytes() is None


def test_windows_leftovers_are_removed_by_age(monkeypatch, tmp_path):
    old, new = (tmp_path / f".a.{number}@{host_name()}.part.png" for number in (1, 2))
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    monkeypatch.setattr(locks.os, "kill", lambda *_: pytest.fail("signal 0 ends a process on Windows"))
    monkeypatch.setattr(locks, "POSIX", False)
    locks.remove_leftovers(tmp_path)
    assert (old.exists(), new.exists()) == (False, True)


def test_mps_falls_back_with_one_warning(monkeypatch, caplog):
    environ: dict[str, str] = {}
    enable_mps_fallback(environ)
    assert environ[MPS_FALLBACK] == "1"
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
