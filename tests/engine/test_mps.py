"""Operations of a frame on a GPU against the known gaps of Apple's (MPS), without one: shapes and dtypes, no values."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from aotlab.configs.files import ROOT
from aotlab.configs.load import load_config
from tests.engine.fake_cuda import CUDA, fake_cuda, tracker_on_cuda
from tests.engine.small_model import clip, stripes

QUICK = ("aott", "r50_deaotl")
PRESETS = sorted(path.stem for path in (ROOT / "configs" / "presets").glob("*.yaml"))
GAPS = (
    "_aa.", "bicubic", "grid_sampler_3d", "trilinear3d", "linalg_", "_fft_", "mkldnn", "onednn", "_cudnn", "quantize",
)  # fmt: skip
"""parts of names of operations that MPS lacks or lacked in some version of PyTorch, or that belong to other devices"""
FALLBACK = {"aten.upsample_bicubic2d.vec"}
"""gap of older versions of PyTorch, whose CPU fallback scales the frame (`PYTORCH_ENABLE_MPS_FALLBACK`)"""
DOUBLES = (torch.float64, torch.complex128)
"""dtypes that MPS lacks"""


class OperationRecorder(TorchDispatchMode):
    """Records the operations on the device with the dtypes of their tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.dtypes: dict[str, set[torch.dtype]] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        tensors = [value for value in tree_leaves((args, kwargs, result)) if isinstance(value, torch.Tensor)]
        used = {tensor.dtype for tensor in tensors if tensor.device.type == CUDA.type}
        if used:
            self.dtypes.setdefault(str(function), set()).update(used)
        return result


@pytest.mark.parametrize(
    "preset",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in PRESETS],
)
def test_frame_needs_nothing_that_mps_lacks(preset):
    """Given, tracked and stored frames; whether the masks are right is shown by the workflow's job on macOS."""
    frames = clip(4)
    settings = ["model.max_objects=3", "memory.every=2", "compute.precision=float32"]
    with fake_cuda(), OperationRecorder() as recorder:
        tracker = tracker_on_cuda(load_config(preset, settings))
        tracker.step(frames[0], stripes([1, 2]))
        for frame in frames[1:]:
            tracker.step(frame)
    assert any("conv2d" in name for name in recorder.dtypes)
    assert not [name for name, dtypes in recorder.dtypes.items() if dtypes & {*DOUBLES}]
    assert {name for name in recorder.dtypes if any(part in name for part in GAPS)} <= FALLBACK
