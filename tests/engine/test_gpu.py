"""Masks and training on a CUDA device beside the CPU's; `test_cuda` checks devices and shapes without one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from aotlab.engine.tracking.host_copy import LabelPipeline
from aotlab.engine.tracking.tracker import Tracker
from aotlab.engine.training.clip import ClipModule, ClipOptions
from aotlab.media.images import read_image
from aotlab.media.masks import read_mask
from aotlab.utils.devices import autocast
from aotlab_testing.files import SAMPLE
from aotlab_testing.marks import METHOD_PRESETS
from aotlab_testing.miniatures import open_dataset
from aotlab_testing.small_model import build, clip_batch, draw_stripes, draw_texture, run_tracker

CUDA = torch.device("cuda", 0)
FRAMES = 8
if not torch.cuda.is_available():
    pytest.skip("no CUDA device", allow_module_level=True)
GPU_ROUNDING = {"atol": 1e-2, "rtol": 1e-3}
"""Tolerance of amplified logits of about 10, which another order of sums and other kernels move."""


@pytest.fixture
def exact(monkeypatch):
    """Convolutions in full float32; by default cuDNN rounds their inputs to TF32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def track_pond(*overrides, device="cpu"):
    """Labels T×H×W of the bundled clip."""
    (pond,) = open_dataset("davis2017", SAMPLE)
    tracker = Tracker.from_pretrained(device=device, overrides=overrides)
    frames, mask = [read_image(path) for path in pond.frames[:FRAMES]], read_mask(pond.annotations[0])
    labels, predictions = LabelPipeline(tracker.device), []
    for index, frame in enumerate(frames):
        predictions.append(tracker.step(frame, None if index else mask))
        labels.push(predictions[-1])
    return np.stack([prediction.labels for prediction in predictions])


# A GPU sums in another order; with bfloat16, more pixels of the outlines are ties.
@pytest.mark.parametrize(("overrides", "min_agreement"), [
    (["compute.precision=float32"], 0.999),
    (["compute.precision=bfloat16"], 0.995),
    pytest.param(["compute.precision=float32", "compute.compile=true"], 0.999, marks=pytest.mark.slow),
])  # fmt: skip
def test_masks_of_the_bundled_model_equal_the_cpus(overrides, min_agreement):
    found, expected = track_pond(*overrides, device="cuda"), track_pond("compute.precision=float32")
    assert (found == expected).mean((1, 2)).min() > min_agreement


@pytest.mark.parametrize("preset", METHOD_PRESETS)
def test_logits_of_each_method_equal_the_cpus(preset, exact):
    model, config = build(preset, "memory.every=1", "compute.precision=float32")
    frames, masks = draw_texture(4), {0: draw_stripes([1, 2]), 2: draw_stripes([0, 0, 3])}
    found, expected = (run_tracker(Tracker(model, config, device=device), frames, masks) for device in (CUDA, "cpu"))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.logits.cpu(), other.logits, **GPU_ROUNDING)


@pytest.mark.parametrize("preset", METHOD_PRESETS)
# Gradients pass all layers twice, and add up their rounding.
@pytest.mark.parametrize(("precision", "loss_error", "gradient_error"), [
    ("float32", 1e-4, 1e-3),
    ("bfloat16", 2e-2, 0.1),
])  # fmt: skip
def test_training_step_equals_the_cpus(preset, precision, loss_error, gradient_error, exact):
    frames, masks = draw_texture(3, 65, 65), [draw_stripes([1, 2], 65, 65)] * 3
    found = []
    for device, used in ((CUDA, precision), (torch.device("cpu"), "float32")):
        model, config = build(preset, "model.stages.0.drop_path=0")
        model = model.to(device).eval()
        batch = clip_batch(frames, masks, 2)
        batch = replace(batch, images=batch.images.to(device), target_indices=batch.target_indices.to(device))
        permutation = torch.arange(config.model.max_objects + 1, device=device)[None]
        with autocast(device, used):
            options = ClipOptions(permutation, 65 * 65, use_predictions=True)
            loss, _ = ClipModule(model, config.memory)(batch, options)
        loss.backward()
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        found.append((loss.item(), norm.item()))
    assert found[0][0] == pytest.approx(found[1][0], rel=loss_error)
    assert found[0][1] == pytest.approx(found[1][1], rel=gradient_error)


def test_state_of_a_gpu_continues_on_a_cpu(exact):
    model, config = build("aott", "memory.every=1", "compute.precision=float32")
    frames = draw_texture(4)
    first, second = Tracker(model, config, device=CUDA), Tracker(model, config)
    whole = run_tracker(first, frames[:2], {0: draw_stripes([1, 2])})
    second.load_state_dict(first.state_dict())
    for frame in frames[2:]:
        expected, found = first.step(frame), second.step(frame)
        torch.testing.assert_close(found.logits, expected.logits.cpu(), **GPU_ROUNDING)
    assert whole[0].ids == second.ids
