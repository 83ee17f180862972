"""Frames and training steps on a simulated CUDA device: shapes and devices, no values.

Nothing mixes devices, ordinary frames need no value on the host, and no operation of a frame is among the known gaps of
Apple's GPUs (MPS); whether masks are right there is shown by the workflow's job on macOS.
"""

from itertools import chain

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from aotlab.benchmark.ensemble import Ensemble, build_branches
from aotlab.configs.load import load_config
from aotlab.engine.memory.bank import MemoryBank, build_bank
from aotlab.engine.tracking.host_copy import LabelPipeline
from aotlab.engine.tracking.overlap import OverlapTracker
from aotlab.engine.training.clip import ClipBatch, ClipModule, ClipOptions, mean_iou
from aotlab.utils.devices import autocast
from aotlab_testing.fake_cuda import CUDA, NEEDS_HOST, build_on_cuda, fake_cuda, record_transfers, tracker_on_cuda
from aotlab_testing.marks import slow
from aotlab_testing.small_model import draw_stripes, draw_texture, run_tracker, tiny_settings

OTHERS = ("aott", "aost", "msdeaotl_hq", "r50_paotl", "r50_aotl_rmem", "r50_deaotl_ermu", "swinb_aotl")
"""Methods, memories and encoders."""
SHALLOW = "model.stages.0.depth=1"
GAPS = (
    "_aa.", "bicubic", "grid_sampler_3d", "trilinear3d", "linalg_", "_fft_", "mkldnn", "onednn", "_cudnn", "quantize",
)  # fmt: skip
"""Parts of names of operations that MPS lacks or lacked in some version of PyTorch, or that belong to other devices."""
FALLBACK = {"aten.upsample_bicubic2d.vec", "aten.linalg_vector_norm.default"}
"""Gaps of older versions of PyTorch, whose CPU fallback (`PYTORCH_ENABLE_MPS_FALLBACK`) scales the frame, and compares
the keys of stored frames (ERMU)."""
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")  # by deepcopy
DOUBLES = (torch.float64, torch.complex128)
"""Dtypes that MPS lacks."""

WITHOUT_RULES = ("rules.cuts=false",)
"""Rules compute on the host."""


def load_settings(preset, *overrides):
    small = ["model.max_objects=3", "memory.every=2", "compute.precision=float32"]
    return load_config(preset, [*small, *overrides])


def load_tiny_settings(preset="aott", *overrides):
    return load_settings(preset, *tiny_settings(preset), *overrides)


class OperationRecorder(TorchDispatchMode):
    """Records the operations on the device with the dtypes of their tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.dtypes: dict[str, set[torch.dtype]] = {}
        self.copied = 0
        """Arrays and lists that became tensors."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.copied += function is torch.ops.aten.lift_fresh.default
        tensors = [value for value in tree_leaves((args, kwargs, result)) if isinstance(value, torch.Tensor)]
        used = {tensor.dtype for tensor in tensors if tensor.device.type == CUDA.type}
        if used:
            self.dtypes.setdefault(str(function), set()).update(used)
        return result


def watch_host(monkeypatch):
    """Count what policies fetch from the device; they get numbers for it."""
    fetched = []

    def count(tensor):
        fetched.append(tensor.device)
        return np.full(tensor.shape, 0.5)

    monkeypatch.setattr("aotlab.engine.memory.policies.to_host", count)
    return fetched


@pytest.mark.parametrize(
    ("load", "preset"),
    [(load_tiny_settings, "deaott"), *slow((load_tiny_settings, "aott"), *((load_settings, name) for name in OTHERS))],
)
def test_frames_of_every_method_stay_on_the_device(load, preset, monkeypatch):
    fetched = watch_host(monkeypatch)
    *frames, last = draw_texture(6)
    with fake_cuda(), OperationRecorder() as recorder:
        tracker = tracker_on_cuda(load(preset, *WITHOUT_RULES))
        masks = {0: draw_stripes([1, 2]), 3: draw_stripes([0, 3, 4, 5])}  # the late ones fill a second group
        for index, frame in enumerate(frames):
            copied = recorder.copied
            prediction = tracker.step(frame, masks.get(index))
            assert index in masks or recorder.copied == copied + 1, "more than the frame was copied"
            assert prediction.logits.device == prediction.indices.device == CUDA
            assert prediction.probabilities.shape == (len(tracker.ids) + 1, *frame.shape[:2])
        tracker.forget(1)
        assert len(tracker.step(last).logits) == 5
    # the published restricted memories judge frames before the bank is full: three frames are stored in memory
    assert len(fetched) <= (3 if preset.endswith(("_rmem", "_ermu")) else 0)
    assert any("conv2d" in name for name in recorder.dtypes)
    assert not [name for name, dtypes in recorder.dtypes.items() if dtypes & {*DOUBLES}]
    assert {name for name in recorder.dtypes if any(part in name for part in GAPS)} <= FALLBACK


@pytest.mark.parametrize("precision", slow("bfloat16", "float16"))
def test_memory_has_the_precision_of_the_model(precision):
    with fake_cuda():
        tracker = tracker_on_cuda(
            load_tiny_settings("aotl", f"compute.precision={precision}", "model.max_objects=10", SHALLOW)
        )
        frames = draw_texture(3)
        prediction = run_tracker(tracker, frames, {0: draw_stripes(range(1, 15))})[-1]
        key = tracker.state.groups[0].memory.read()[0][0].long.key
        assert key.dtype == getattr(torch, precision)
        assert prediction.logits.shape == (15, *frames.shape[1:3])


FETCHES = {"rmem": 1, "bounded_fifo": 0, "ermu": 2}


@pytest.mark.parametrize("policy", ["rmem", *slow("bounded_fifo", "ermu")])
def test_eviction_fetches_few_tensors_per_group(policy, monkeypatch):
    fetched = watch_host(monkeypatch)
    overrides = [f"memory.policy={policy}", "memory.frames=2", "memory.every=1", SHALLOW]
    with fake_cuda():
        tracker = tracker_on_cuda(load_tiny_settings("aotl", *overrides))
        counts = []
        for index, frame in enumerate(draw_texture(3)):
            before = len(fetched)
            tracker.step(frame, draw_stripes([1, 2, 3, 4]) if index == 0 else None)
            counts.append(len(fetched) - before)
    assert counts == [0, 0, 2 * FETCHES[policy]]  # there are two groups


@pytest.mark.parametrize("fused", slow(True, False))
def test_ensemble_of_scales_and_flips_stays_on_device(fused):
    with fake_cuda():
        config = load_tiny_settings()
        branches = build_branches(build_on_cuda(config), config, scales=(1.5,), flip=True, device=str(CUDA))
        together = Ensemble(branches, fused_feedback=fused)
        for prediction in run_tracker(together, draw_texture(2), {0: draw_stripes([1, 2]), 1: draw_stripes([0, 3])}):
            assert prediction.logits.device == prediction.indices.device == CUDA


@pytest.mark.parametrize(("load", "preset"), [
    (load_tiny_settings, "aott"),
    *slow(*((load_settings, name) for name in ("aott", "deaott", "msdeaott", "r50_paotl"))),
])  # fmt: skip
def test_training_step_stays_on_device(load, preset):
    config = load(preset)
    with fake_cuda():
        model = build_on_cuda(config).train()
        clip_module = ClipModule(model, config.memory)
        optimizer = torch.optim.AdamW(model.parameters())
        scaler = torch.amp.GradScaler("cuda")
        images = torch.empty(3, 2, 3, 65, 65, device=CUDA)
        labels = torch.zeros(3, 2, 65, 65, dtype=torch.long, device=CUDA)
        plan = ClipOptions(torch.arange(4, device=CUDA).expand(2, 4), 65 * 65, use_predictions=True)
        with autocast(CUDA, "float16"):
            loss, losses = clip_module(ClipBatch(images, labels, [3, 2]), plan)
        iou = mean_iou(losses.predictions[1], labels[1], [3, 2])
        scaled = scaler.scale(loss)
        assert scaled.requires_grad
        assert scaled.device == iou.device == CUDA
        for weight in model.parameters():  # PyTorch's own backward needs a real device
            weight.grad = torch.zeros_like(weight)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        assert {mask.device for mask in losses.predictions} == {CUDA}


def test_memory_moves_to_the_device_and_back(monkeypatch):
    config = load_tiny_settings("aotl", SHALLOW)
    monkeypatch.setattr(torch.Tensor, "isfinite", lambda values: np.ones(1, bool))  # fake tensors have no values
    with fake_cuda():
        tracker = tracker_on_cuda(config)
        run_tracker(tracker, draw_texture(3), {0: draw_stripes([1, 2])})
        there, back = build_bank(config.memory), build_bank(config.memory)
        there.load_state_dict(tracker.state.groups[0].memory.state_dict(), torch.device("cpu"))
        back.load_state_dict(there.state_dict(), CUDA)
        assert devices(there) == {torch.device("cpu")}
        assert devices(back) == devices(tracker.state.groups[0].memory) == {CUDA}


def devices(bank: MemoryBank):
    return {x.device for block in chain(*bank.read()) for kv in block for x in kv}


def run_track(tracker, frames):
    labels = LabelPipeline(CUDA)
    for index, frame in enumerate(frames):
        labels.push(tracker.step(frame, draw_stripes([1]) if index == 0 else None))


def run_layers(tracker, frames):
    """Objects that overlap, as in SA-V: two trackers."""
    layers, labels = OverlapTracker(tracker), LabelPipeline(CUDA)
    layer_masks = {1: draw_stripes([1]) > 0, 2: draw_stripes([1]) > 0}
    for index, frame in enumerate(frames):
        labels.push(layers.step(frame, {} if index else layer_masks))
    assert len(layers.layers) == 2


@pytest.mark.parametrize(("run", "expected"), [
    (run_track, ["sent"] * 2 + ["waited for 1"] + ["sent", "waited for 2"]),
    (run_layers, ["sent"] * 4 + ["waited for 2"] * 2 + ["sent"] * 2 + ["waited for 4"] * 2),
])  # fmt: skip
def test_transfers_pin_frames_and_delay_labels_by_one_frame(run, expected, monkeypatch):
    assert record_transfers(load_tiny_settings(), run, monkeypatch) == expected


def test_constant_on_cpu_is_detected(monkeypatch):
    with fake_cuda():
        tracker = tracker_on_cuda(load_tiny_settings())
        monkeypatch.setattr("aotlab.networks.preprocess._mean_and_std", lambda *_: torch.ones(2, 3, 1, 1))
        with pytest.raises(RuntimeError, match="device"):
            tracker.step(draw_texture(1)[0], draw_stripes([1]))


def test_host_value_is_detected():
    with fake_cuda():
        tracker = tracker_on_cuda(load_tiny_settings())
        prediction = tracker.step(draw_texture(1)[0], draw_stripes([1]))
        with pytest.raises(NEEDS_HOST):
            bool(prediction.logits.any())
