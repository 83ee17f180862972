"""Encoders: frozen norms, sizes that Swin pads, bfloat16."""

import pytest
import torch

from aotlab.networks.model import build_encoder
from aotlab.networks.swin import SwinBase
from tests.engine.small_model import assert_same_weights, draw_normal
from tests.marks import slow


@pytest.fixture(scope="module")
def swin():
    torch.manual_seed(0)
    return SwinBase().eval()


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50"])
def test_norms_are_frozen_and_hold_no_parameters(name):
    encoder = build_encoder(name)
    assert not any("norm" in key or ".bn" in key for key, _ in encoder.named_parameters())
    before = {key: tensor.clone() for key, tensor in encoder.named_buffers()}
    encoder.train()(draw_normal(1, 3, 33, 33))
    assert_same_weights(dict(encoder.named_buffers()), before)


@pytest.mark.parametrize("size", [(29, 113), *slow(((50, 70),), ((1, 1),))])
@torch.inference_mode()
def test_swin_pads_sizes_to_patches_and_windows(swin, size):
    maps = swin(draw_normal(1, 3, *size))
    expected = [tuple(-(-side // stride) for side in size) for stride in (4, 8, 16)]
    assert [tuple(x.shape[2:]) for x in maps[:3]] == expected
    assert all(torch.isfinite(x).all() for x in maps)


def test_shifted_windows_of_swin_take_bfloat16():
    block = SwinBase._block(32, 4, 1, 0.0).bfloat16()
    assert block(torch.ones(1, 9, 9, 32, dtype=torch.bfloat16)).dtype == torch.bfloat16
