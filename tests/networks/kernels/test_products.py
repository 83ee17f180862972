"""Kernels of encoders and of preprocessing: all compute what PyTorch's own operations do."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.models.resnet import Bottleneck

from aotlab.networks.encoders import FrozenNormConv2d, build_encoder
from aotlab.networks.kernels import OPERATIONS, SETS
from aotlab.networks.kernels.convolutions import RELU, RELU6, FoldedConv2d, convolution
from aotlab.networks.kernels.folding import fold_norms
from aotlab.networks.kernels.tuning import Tuner
from aotlab.networks.operations import use
from aotlab.networks.primitives import resize

ACTIVATIONS = {None: lambda x: x, RELU: F.relu, RELU6: F.relu6}


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize("kernel", convolution.kernels)
@pytest.mark.parametrize("options", [{"kernel_size": 1}, {"kernel_size": 1, "stride": 2},
                                     {"kernel_size": 3, "padding": 1, "groups": 6}], ids=str)  # fmt: skip
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("summed", [False, True])
def test_a_folded_convolution_does_what_follows_it(kernel, options, activation, summed):
    x = 4 * drawn(2, 6, 5, 7).to(memory_format=torch.channels_last)
    layer = FoldedConv2d(6, 6, **options).requires_grad_(False)
    layer.activation = activation
    expected = F.conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding, 1, layer.groups)
    residual = drawn(*expected.shape) if summed else None
    expected = ACTIVATIONS[activation](expected if residual is None else expected + residual)
    with use({"convolution": kernel}), torch.no_grad():
        found = layer(x, residual)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)  # float32 rounding of sums of 9 terms


def test_a_joined_convolution_keeps_gradients_and_precisions():
    layer = FoldedConv2d(3, 4, 1)
    with use({"convolution": "joined"}):
        layer(drawn(1, 3, 2, 2)).sum().backward()
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            found = layer(drawn(1, 3, 2, 2))
    assert layer.weight.grad is not None
    assert found.dtype == torch.bfloat16


@pytest.mark.parametrize("size", [(33, 49), (20, 30), (64, 17)])
@pytest.mark.parametrize("kernel", resize.kernels)
def test_images_are_resized_as_pytorch_does_it(kernel, size):
    image = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    with use({"resize": kernel}), torch.no_grad():
        found = resize(image, size)
    expected = F.interpolate(image, size, mode="bicubic", align_corners=False)
    torch.testing.assert_close(found, expected, atol=5e-6, rtol=0)  # coordinates are rounded to float32


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50"])
def test_no_operation_is_left_behind_the_convolutions_of_a_folded_encoder(name):
    encoder = fold_norms(build_encoder(name))
    kinds = {type(module) for module in encoder.modules()}
    assert not kinds & {torch.nn.ReLU, torch.nn.ReLU6, Bottleneck, FrozenNormConv2d}
    assert not any(
        isinstance(module, InvertedResidual) and module.use_res_connect for module in encoder.modules()
    )


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50"])
def test_a_folded_encoder_gives_the_maps_of_the_whole_one(name):
    torch.manual_seed(0)
    encoder, image = build_encoder(name).eval(), drawn(1, 3, 33, 49)
    with torch.no_grad():
        expected = encoder(image)
        for choice in SETS.values():
            with use(choice):
                found = fold_norms(encoder)(image)
            for ours, theirs in zip(found, expected, strict=True):
                torch.testing.assert_close(ours, theirs, atol=1e-4 * theirs.abs().max().item(), rtol=0)


def test_a_convolution_and_the_resizing_can_be_tuned():
    tuner = Tuner()
    with use(tuner), torch.no_grad():
        FoldedConv2d(6, 3, 1)(drawn(1, 6, 4, 4))
        FoldedConv2d(6, 3, 3)(drawn(1, 6, 4, 4))
        resize(drawn(1, 3, 8, 8), (9, 9))
    assert [set(timing.seconds) for timing in tuner.timings.values()] == [
        {"plain", "dilated", "joined"},
        {"plain", "joined"},
        {"plain", "by_axis"},
    ]


@pytest.mark.parametrize("name", SETS)
def test_sets_name_operations_and_kernels_that_exist(name):
    assert all(choice in OPERATIONS[operation].kernels for operation, choice in SETS[name].items())


def test_every_kernel_is_forced_by_a_set_or_a_test_of_its_own():
    forced = {(operation, choice) for chosen in SETS.values() for operation, choice in chosen.items()}
    others = {
        (name, kernel) for name, operation in OPERATIONS.items() for kernel in operation.kernels
    } - forced
    assert others == {("attention", "split"), ("local_attention", "blocks"), ("local_attention", "map")}
