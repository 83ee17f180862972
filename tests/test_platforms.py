"""Apple's GPUs, simulated."""

import warnings

import torch

from aotlab.utils import devices
from aotlab.utils.environment import MPS_FALLBACK, enable_mps_fallback


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
