"""Optimised models against plain ones: tracking in float32 and bfloat16, and training."""

from __future__ import annotations

from copy import deepcopy
from itertools import islice

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from aotlab.configs.files import BUNDLED_CHECKPOINT, ROOT
from aotlab.configs.load import load_config
from aotlab.engine.tracking.tracker import Tracker
from aotlab.media.masks import read_mask
from aotlab.media.video import open_frames
from aotlab.networks import fast
from aotlab.networks.build import build_model
from aotlab.networks.encoders import build_encoder
from aotlab.networks.fast import optimize, optimize_training
from aotlab.networks.fast.convolutions import fuse_encoder
from aotlab.networks.fast.training import DepthwiseConvolution, TrainingConv2d
from aotlab.networks.weights.checkpoints import load_checkpoint
from tests.networks.test_models import CASES, images, masks, small, track

CPU = torch.device("cpu")
SAMPLE = ROOT / "datasets" / "sample"


def randomize_norms(encoder):
    torch.manual_seed(0)
    for module in encoder.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.weight.uniform_(0.5, 1.5)
            module.running_var.uniform_(0.5, 1.5)
            module.bias.normal_(std=0.1)
            module.running_mean.normal_(std=0.1)
    return encoder.eval()


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50"])
@torch.no_grad()
def test_fused_encoder_equals_the_plain_one(name):
    encoder = randomize_norms(build_encoder(name))
    fused, image = deepcopy(encoder), images(1, 49, 65)
    fuse_encoder(fused)
    assert not any(isinstance(module, FrozenBatchNorm2d) for module in fused.modules())
    for ours, expected in zip(fused(image), encoder(image), strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-4 * expected.abs().max().item(), rtol=0)


@pytest.mark.parametrize("name", CASES)
def test_optimized_model_equals_the_plain_one(name):
    model, image, given = small(name), images(2, 49, 65), masks(2, 4, 49, 65)
    expected, _ = track(model, image, given)
    ours, _ = track(optimize(model, precision="float32"), image, given)
    torch.testing.assert_close(ours, expected, atol=1e-4 * expected.std().item() + 1e-4, rtol=1e-4)


@pytest.mark.slow  # bfloat16 is emulated on many machines
def test_bfloat16_masks_of_the_sample_equal_float32():
    model, config = load_checkpoint(BUNDLED_CHECKPOINT)
    frames, mask = list(islice(open_frames(SAMPLE / "rabbit.mp4"), 8)), read_mask(SAMPLE / "rabbit.png")
    labels = {}
    for precision in ("float32", "bfloat16"):
        tracker = Tracker(optimize(model, precision=precision), config)
        first = tracker.step(frames[0], mask)
        labels[precision] = [first.labels, *(tracker.step(frame).labels for frame in frames[1:])]
    assert np.mean(np.stack(labels["float32"]) == np.stack(labels["bfloat16"])) >= 0.997


@pytest.mark.parametrize("preset", ["aott", "deaott", "r50_deaotl_rmem"])
def test_training_keeps_names_results_and_gradients(preset):
    torch.manual_seed(0)
    model = build_model(load_config(preset, ["model.stages.0.window=7"]).model).eval()
    randomize_norms(model.encoder)
    faster = deepcopy(model)
    optimize_training(faster, CPU)
    assert faster.state_dict().keys() == model.state_dict().keys()
    assert [name for name, _ in faster.named_parameters()] == [name for name, _ in model.named_parameters()]
    image, given = images(1, 49, 65), masks(1, 4, 49, 65)
    gradients = []
    for tested in (model, faster):
        identities, features = tested.assign_identities(given), tested.encode(image)
        logits = tested.decode(tested.propagate(features, id_embeddings=identities), features)
        (logits * torch.linspace(-1, 1, logits.numel()).view_as(logits)).mean().backward()
        gradients.append({name: x.grad for name, x in tested.named_parameters() if x.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[0].items():
        bound = 1e-3 * expected.abs().max().item() + 1e-6
        torch.testing.assert_close(gradients[1][name], expected, atol=bound, rtol=0, msg=name)


def test_trained_model_is_optimized_for_tracking():
    model, image, given = small("aot"), images(2, 49, 65), masks(1, 4, 49, 65)
    optimize_training(model, CPU)
    expected, _ = track(model, image, given)
    ours, _ = track(optimize(model, precision="float32"), image, given)
    torch.testing.assert_close(ours, expected, atol=1e-4 * expected.std().item() + 1e-4, rtol=1e-4)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("side", "dilation", "batch"), [(5, 1, 2), (3, 2, 3)])
def test_depthwise_gradients_equal_pytorchs(side, dilation, batch, memory_format):
    torch.manual_seed(side)
    x = torch.randn(batch, 6, 9, 11, dtype=torch.float64)
    leaves = [x, torch.randn(6, 1, side, side, dtype=torch.float64), torch.randn(6, dtype=torch.float64)]
    for leaf in leaves:
        leaf.requires_grad_()
    expected = nn.functional.conv2d(*leaves, 1, dilation * (side // 2), dilation, 6)
    weights = torch.randn_like(expected)
    gradients = torch.autograd.grad(expected, leaves, weights)
    x = x.detach().contiguous(memory_format=memory_format).requires_grad_()
    ours = DepthwiseConvolution.apply(x, *leaves[1:], dilation)
    torch.testing.assert_close(ours, expected, atol=1e-12, rtol=0)
    ours = torch.autograd.grad(ours, [x, *leaves[1:]], weights)
    torch.testing.assert_close(ours, gradients, atol=1e-12, rtol=0)


def test_large_and_dilated_kernels_learn_by_convolutions(monkeypatch):
    encoder, seen = build_encoder("mobilenet_v2"), []
    fast.fold_training_norms(encoder)
    layer = nn.Conv2d(8, 8, 5, padding=2, groups=8)
    layer.__class__ = TrainingConv2d
    monkeypatch.setattr(DepthwiseConvolution, "apply", lambda x, *_: seen.append(x) or x)
    layer(torch.zeros(1, 8, 9, 9))
    encoder(torch.zeros(1, 3, 33, 33))
    assert len(seen) == 4  # and three dilated kernels of the last row
    with torch.autocast("cpu", torch.bfloat16):
        layer(torch.zeros(1, 8, 9, 9))
    with torch.no_grad():
        layer(torch.zeros(1, 8, 9, 9))
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("avx", "amx", "resolved"),
    [(False, False, "float32"), (True, False, "bfloat16"), (False, True, "bfloat16")],
)
def test_auto_precision_follows_the_processor(avx, amx, resolved, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert fast.resolve_precision("auto", CPU) == resolved
    assert fast.resolve_precision("float16", CPU) == "float16"
