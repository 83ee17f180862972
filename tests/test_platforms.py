"""Files of killed programs on Windows, and Apple's GPUs; both systems are simulated."""

import os
import warnings

import pytest
import torch

from aotlab.utils import devices, locks
from aotlab.utils.environment import MPS_FALLBACK, enable_mps_fallback
from aotlab.utils.files import host_name


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
