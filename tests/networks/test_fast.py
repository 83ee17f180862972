"""Optimized models against plain ones: tracking in float32 and bfloat16, and training."""

from copy import deepcopy
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import resnet18
from torchvision.ops import FrozenBatchNorm2d

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.configs.load import load_config
from aotlab.engine.tracking.tracker import Tracker
from aotlab.media.images import read_image
from aotlab.media.masks import read_mask
from aotlab.networks.build import build_model
from aotlab.networks.encoders import build_encoder
from aotlab.networks.fast import optimize as fast
from aotlab.networks.fast.convolutions import (
    FusedConv2d,
    fold_training_norms,
    fuse_encoders,
    replace_convolutions,
    train_convolutions,
)
from aotlab.networks.fast.optimize import optimize, optimize_training
from aotlab.networks.weights.checkpoints import load_checkpoint
from aotlab_testing.files import SAMPLE
from aotlab_testing.marks import slow
from aotlab_testing.miniatures import open_dataset
from aotlab_testing.small_model import CASES, ROUNDING, build_case, draw_images, draw_planes, match_second_frame

CPU = torch.device("cpu")


def randomize_norms(encoder):
    torch.manual_seed(0)
    for module in encoder.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.weight.uniform_(0.5, 1.5)
            module.running_var.uniform_(0.5, 1.5)
            module.bias.normal_(std=0.1)
            module.running_mean.normal_(std=0.1)
    return encoder.eval()


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50", "resnest101", *slow("resnet101")])
@torch.no_grad()
def test_fused_encoder_equals_the_plain_one(name):
    encoder = randomize_norms(build_encoder(name))
    fused, image = deepcopy(encoder), draw_images(1, 49, 65)
    fuse_encoders(fused)
    assert not any(isinstance(module, FrozenBatchNorm2d) for module in fused.modules())
    for found, expected in zip(fused(image), encoder(image), strict=True):
        torch.testing.assert_close(found, expected, atol=ROUNDING * expected.abs().max().item(), rtol=0)


@torch.no_grad()
def test_processor_without_bfloat16_in_onednn_convolves(monkeypatch):
    fail = Mock(side_effect=RuntimeError("mkldnn_convolution_pointwise: bf16 path needs avx512"))
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.ops.mkldnn, "_convolution_pointwise", fail)
    fused, image = FusedConv2d(3, 4, 3).bfloat16(), draw_images(1, 9, 9).bfloat16()
    fused.activation = "relu"
    assert torch.equal(fused(image), nn.Conv2d.forward(fused, image).relu())


class ResNet18(nn.Module):
    """An encoder that `fuse_encoders` does not know, whose blocks use one ReLU twice."""

    def __init__(self):
        super().__init__()
        self.net = resnet18(weights=None, norm_layer=FrozenBatchNorm2d)

    def forward(self, image):
        return [self.net.layer1(self.net.maxpool(self.net.relu(self.net.bn1(self.net.conv1(image)))))]


@torch.no_grad()
def test_unknown_encoder_keeps_its_results():
    encoder, image = randomize_norms(ResNet18()), draw_images(1, 49, 65)
    fused, trained = deepcopy(encoder), deepcopy(encoder)
    fuse_encoders(fused)
    fold_training_norms(trained)
    replace_convolutions(trained)
    (expected,) = encoder(image)
    for changed in (fused, trained):
        torch.testing.assert_close(changed(image)[0], expected, atol=ROUNDING * expected.max().item(), rtol=0)


def test_padding_mode_is_kept():
    model = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"))
    image = draw_images(1, 9, 9)
    expected = model(image)
    replace_convolutions(model)
    assert torch.equal(model(image), expected)


@pytest.mark.parametrize(("name", "prepare"), [*((name, nn.Identity()) for name in CASES), ("aot", optimize_training)])
def test_optimized_model_equals_the_plain_one(name, prepare):
    model, image, object_masks = build_case(name)[0], draw_images(4, 49, 65), draw_planes(2, 4, 49, 65)
    prepare(model)
    expected, _ = match_second_frame(model, image, object_masks)
    found, _ = match_second_frame(optimize(model, precision="float32"), image, object_masks)
    torch.testing.assert_close(found, expected, atol=ROUNDING * (expected.std().item() + 1), rtol=ROUNDING)


@pytest.mark.slow  # bfloat16 is emulated on many machines
def test_bfloat16_masks_of_the_sample_equal_float32():
    model, config = load_checkpoint(BUNDLED_CHECKPOINT)
    (pond,) = open_dataset("davis2017", SAMPLE)
    frames, mask = [read_image(path) for path in pond.frames[:5]], read_mask(pond.annotations[0])
    labels = {}
    for precision in ("float32", "bfloat16"):
        tracker = Tracker(optimize(model, precision=precision), config)
        first = tracker.step(frames[0], mask)
        labels[precision] = [first.labels, *(tracker.step(frame).labels for frame in frames[1:])]
    # bfloat16 has 8 bits: logits that nearly tie, on outlines, change their order
    assert np.mean(np.stack(labels["float32"]) == np.stack(labels["bfloat16"])) >= 0.997


@pytest.mark.parametrize("preset", ["deaott", *slow("aott", "r50_deaotl_rmem")])
def test_training_keeps_names_results_and_gradients(preset):
    torch.manual_seed(0)
    model = build_model(load_config(preset, ["model.stages.0.window=7"]).model).eval()
    randomize_norms(model.encoder)
    faster = deepcopy(model)
    optimize_training(faster)
    assert faster.state_dict().keys() == model.state_dict().keys()
    assert [name for name, _ in faster.named_parameters()] == [name for name, _ in model.named_parameters()]
    image, object_masks = draw_images(1, 49, 65), draw_planes(1, 4, 49, 65)
    gradients = []
    for tested in (model, faster):
        identities, features = tested.assign_identities(object_masks), tested.encode(image)
        logits = tested.decode(tested.propagate(features, id_embeddings=identities), features)
        (logits * torch.linspace(-1, 1, logits.numel()).view_as(logits)).mean().backward()
        gradients.append({name: x.grad for name, x in tested.named_parameters() if x.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[0].items():
        bound = 1e-3 * expected.abs().max().item() + 1e-6
        torch.testing.assert_close(gradients[1][name], expected, atol=bound, rtol=0, msg=name)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 2, 1), (3, 1, 2), (5, 1, 1)])
def test_depthwise_convolutions_train_in_float32(kernel, stride, dilation):
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 8, kernel, stride, padding=kernel // 2 * dilation, dilation=dilation, groups=8)
    trained, image = deepcopy(conv), torch.randn(2, 8, 9, 11, requires_grad=True)
    train_convolutions(trained)
    results = []
    for tested, enabled in ((conv, False), (trained, True)):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            output = tested(image)
        results.append([output, *torch.autograd.grad(output.float().sum(), [image, *tested.parameters()])])
    (plain, *expected), (rounded, *found) = results
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), plain, atol=0, rtol=2**-8)  # 8 bits
    for gradient, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, exact, atol=ROUNDING * exact.abs().max().item(), rtol=0)


@pytest.mark.parametrize(
    ("avx", "amx", "resolved"), [(False, False, "float32"), (True, False, "bfloat16"), (False, True, "bfloat16")]
)
def test_auto_precision_follows_the_processor(avx, amx, resolved, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert fast.resolve_precision("auto", CPU) == resolved
    assert fast.resolve_precision("float16", CPU) == "float16"


def test_optimized_model_is_not_optimized_again():
    with pytest.raises(ValueError, match="optimized already"):
        optimize(optimize(build_case("aot")[0], precision="float32"))
