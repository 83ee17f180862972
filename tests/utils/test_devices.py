"""Devices by name, and threads left for helpers."""

import inspect
import logging
import os
import warnings

import pytest
import torch

from aotlab import Tracker, TrackerOptions
from aotlab.sdk import load_segmenter
from aotlab.utils import devices
from aotlab.utils.devices import THREAD_VARIABLES, choose_device, leave_cores_free, list_devices, pick_device
from aotlab.utils.environment import prepare_torch
from aotlab.utils.errors import InputError


@pytest.mark.parametrize(
    ("cores", "helpers", "environment", "kept"),
    [(1, 2, {}, 1), (2, 2, {}, 2), (4, 1, {}, 3), (4, 2, {}, 3), (5, 2, {}, 4), (8, 2, {}, 6), (8, 0, {}, 8)]
    + [(8, 2, {name: "8"}, 8) for name in THREAD_VARIABLES],
)
def test_helpers_get_at_most_a_quarter_of_the_cores(cores, helpers, environment, kept, monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(devices, "count_cores", lambda: cores)
    torch.set_num_threads(cores)
    try:
        for _ in range(2):  # once for each video of a list
            leave_cores_free(helpers)
            assert torch.get_num_threads() == kept
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["tpu9", "gpu", "", "cuda:x", "cpu:-1", "meta", "mps", "cuda:99", "xla", "cuda"])
def test_unusable_device_names_the_usable_ones(name):
    assert pick_device("cpu") == torch.device("cpu")
    if name in list_devices():
        pytest.skip(f"{name} is here")
    with pytest.raises(InputError) as caught:
        pick_device(name)
    sentence = str(caught.value)
    assert sentence.startswith(f"device {name}: ")
    assert f"this machine has {', '.join(list_devices())}" in sentence
    assert len(sentence) < 300


def test_mps_falls_back_with_one_warning(monkeypatch, caplog):
    monkeypatch.setattr(os, "environ", {})
    prepare_torch()
    assert os.environ["PYTORCH_ENABLE_MPS_FALLBACK"] == "1"
    zeros = torch.zeros
    monkeypatch.setattr(torch, "zeros", lambda *size, device: zeros(*size))
    with warnings.catch_warnings(record=True) as caught:
        assert devices.pick_device("mps").type == "mps"
        for operation in ("aten::a", "aten::b"):
            words = f"The operator '{operation}' is not currently supported on the MPS backend"
            warnings.warn(words, stacklevel=1)
    assert caught == []
    assert caplog.text.count("run on the CPU") == 1


def test_every_accelerator_is_waited_for(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
    for name in ("cpu", "mps", "cuda:1"):
        devices.synchronize(name)
    assert waited == ["mps", "cuda:1"]


@pytest.fixture
def log(caplog):
    """Log of a test in which the device is chosen again."""
    caplog.set_level(logging.INFO, "aotlab")
    choose_device.cache_clear()
    yield caplog
    choose_device.cache_clear()


def test_auto_is_cuda_if_available_and_logged_once(monkeypatch, log):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    zeros, asked = torch.zeros, []
    monkeypatch.setattr(torch, "zeros", lambda *size, device: asked.append(device) or zeros(*size))
    assert [pick_device("auto").type for _ in range(2)] == ["cuda", "cuda"]
    assert asked == [torch.device("cuda")] * 2
    assert log.messages == ["device cuda: NVIDIA H200; --device cpu uses the CPU"]


@pytest.mark.parametrize(
    ("cuda", "devices_here", "sentence"),
    [
        ("12.8", ["cpu"], "device cpu: PyTorch finds no CUDA device"),
        (None, ["cpu"], "device cpu: this build of PyTorch has no CUDA"),
        (None, ["cpu", "mps"], "device cpu: this build of PyTorch has no CUDA; --device mps uses the GPU"),
    ],
)
def test_auto_is_the_cpu_without_cuda_and_gives_why(cuda, devices_here, sentence, monkeypatch, log):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(devices, "list_devices", lambda: devices_here)
    assert [pick_device("auto").type for _ in range(2)] == ["cpu", "cpu"]
    assert log.messages == [sentence]


@pytest.mark.parametrize("function", [Tracker.from_pretrained, TrackerOptions, load_segmenter])
def test_device_of_public_functions_is_auto(function):
    assert inspect.signature(function).parameters["device"].default == "auto"


@pytest.mark.usefixtures("log")
def test_inputs_of_a_run_do_not_depend_on_the_device(monkeypatch):
    by_name = TrackerOptions(device="cpu").fingerprint()
    for available in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert TrackerOptions().fingerprint() == by_name
