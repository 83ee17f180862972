"""The encoders' contract: strides, channels, frozen norms, frozen stages."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from aotlab.configs.load import load_config
from aotlab.networks.encoders import ENCODERS, FrozenNormConv2d, build_encoder, freeze_stages, join_norms
from aotlab.networks.swin import SwinBase
from aotlab.networks.vos_model import VOSModel
from aotlab.networks.weights.published_keys import official_name
from tests.shared import golden_table


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def random_norm(channels):
    norm = FrozenBatchNorm2d(channels)
    norm.weight, norm.bias, norm.running_mean = (drawn(channels, seed=seed) for seed in range(3))
    norm.running_var = drawn(channels, seed=3).abs() + 0.1
    return norm


@pytest.fixture(scope="module")
def swin():
    torch.manual_seed(0)
    return SwinBase().eval()


@pytest.mark.parametrize(
    "options", [{}, {"stride": 2, "padding": 1}, {"padding": 2, "dilation": 2}, {"groups": 6, "padding": 1}]
)
def test_a_joined_norm_equals_convolution_then_norm(options):
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(6, 12, 3, bias=False, **options), random_norm(12)
    x = drawn(2, 6, 9, 11)
    # The norm scales the kernel instead of the result: float32 rounding.
    torch.testing.assert_close(FrozenNormConv2d(conv, norm)(x), norm(conv(x)), atol=2e-5, rtol=1e-5)


def test_joined_norms_leave_a_network_as_it_was():
    torch.manual_seed(0)
    part = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), random_norm(8), nn.ReLU(), nn.Conv2d(8, 4, 1))
    x = drawn(1, 3, 8, 8)
    before = part(x)
    join_norms(part)
    assert isinstance(part[0], FrozenNormConv2d)
    assert isinstance(part[1], nn.Identity)
    torch.testing.assert_close(part(x), before, atol=2e-5, rtol=1e-5)  # float32 rounding


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50"])
def test_norms_hold_no_parameters_and_do_not_change_in_training(name):
    encoder = build_encoder(name)
    assert not any("norm" in key or ".bn" in key for key, _ in encoder.named_parameters())
    before = {key: tensor.clone() for key, tensor in encoder.named_buffers()}
    encoder.train()(drawn(1, 3, 33, 33))
    assert all(torch.equal(tensor, before[key]) for key, tensor in encoder.named_buffers())


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50"])
@torch.inference_mode()
def test_maps_of_an_image_of_16k_plus_1_align_with_its_corners(name):
    encoder = build_encoder(name)
    maps = encoder(drawn(2, 3, 65, 97))
    sizes = [(17, 25), (9, 13), (5, 7), (5, 7)]
    assert [tuple(x.shape) for x in maps] == [
        (2, c, *s) for c, s in zip(encoder.channels, sizes, strict=True)
    ]


@torch.inference_mode()
def test_maps_of_swin_have_strides_4_8_16_16(swin):
    maps = swin(drawn(1, 3, 64, 96))
    sizes = [(16, 24), (8, 12), (4, 6), (4, 6)]
    assert [tuple(x.shape) for x in maps] == [(1, c, *s) for c, s in zip(swin.channels, sizes, strict=True)]


@pytest.mark.parametrize("size", [(50, 70), (29, 113), (1, 1)])
@torch.inference_mode()
def test_swin_rounds_sizes_up_that_fit_neither_patches_nor_windows(swin, size):
    maps = swin(drawn(1, 3, *size))
    assert [tuple(x.shape[2:]) for x in maps[:3]] == [
        (-(-size[0] // s), -(-size[1] // s)) for s in (4, 8, 16)
    ]
    assert all(torch.isfinite(x).all() for x in maps)


@torch.inference_mode()
def test_swin_pads_an_image_with_zeros_to_whole_patches(swin):
    image = drawn(1, 3, 50, 70)
    padded = nn.functional.pad(image, (0, 2, 0, 2))
    assert all(torch.equal(a, b) for a, b in zip(swin(image), swin(padded), strict=True))


@torch.inference_mode()
def test_swin_windows_do_not_wrap_around_the_image(swin):
    # 21×21 patches are whole windows, so only the shift could carry one border to the opposite one. One block
    # reaches a window's width, and the two of the first stage two.
    image = drawn(1, 3, 84, 84)
    changed = image.clone()
    changed[:, :, :4] = 0
    first, second = (swin.layers[0](swin.patch_embed(x)) for x in (image, changed))
    assert torch.equal(first[:, 14:], second[:, 14:])
    assert not torch.equal(first[:, :7], second[:, :7])


def test_mobilenet_dilates_all_but_the_first_block_of_the_160_row():
    # One 3×3 convolution each: the stem and 17 blocks.
    convolutions = [
        m for m in build_encoder("mobilenet_v2").modules() if getattr(m, "kernel_size", None) == (3, 3)
    ]
    assert len(convolutions) == 18
    assert [index for index, conv in enumerate(convolutions) if conv.stride == (2, 2)] == [0, 2, 4, 7]
    assert [conv.dilation[0] for conv in convolutions] == [1] * 15 + [2] * 3
    assert all(conv.padding == conv.dilation for conv in convolutions)


@pytest.mark.parametrize("name", ENCODERS)
def test_freezing_goes_from_the_image_on(name):
    encoder = build_encoder(name)
    counts = []
    for stages in range(4):
        freeze_stages(encoder, stages)
        counts.append(sum(not p.requires_grad for p in encoder.parameters()))
    assert counts[0] == 0
    assert counts == sorted(set(counts))
    assert any(p.requires_grad for p in encoder.parameters()) == (name != "mobilenet_v2")


@pytest.mark.parametrize("variant", ["aott", "r50_aotl", "swinb_aotl"])
def test_two_frozen_stages_are_those_of_the_reference(variant):
    with torch.device("meta"):
        model = VOSModel(load_config(variant).model)
    freeze_stages(model.encoder, 2)
    groups = golden_table(f"keys/{variant}.optim")
    frozen = {
        official_name(name) for name, parameter in model.named_parameters() if not parameter.requires_grad
    }
    assert frozen == {name for group in groups if group.get("frozen") for name in group["params"]}


def test_an_unknown_encoder_names_those_there_are():
    with pytest.raises(ValueError, match="mobilenet_v2, resnet50, swin_base, got vgg"):
        build_encoder("vgg")
