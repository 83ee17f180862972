"""Encoders: frozen norms, sizes that Swin pads, bfloat16."""

import pytest
import torch
from timm import create_model
from torchvision.models import resnet50, resnet101

from aotlab.networks.encoders import SwinBase, build_encoder
from aotlab.networks.swin import _shift_mask, build_block
from aotlab.networks.weights.published_keys import load_encoder_weights
from aotlab.utils.errors import InputError
from aotlab_testing.marks import slow
from aotlab_testing.small_model import assert_same_weights, draw_normal


@pytest.fixture(scope="module")
def swin():
    torch.manual_seed(0)
    return SwinBase().eval()


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50", "resnest101"])
def test_norms_are_frozen_and_hold_no_parameters(name):
    encoder = build_encoder(name)
    assert not any("norm" in key or ".bn" in key for key, _ in encoder.named_parameters())
    before = {key: tensor.clone() for key, tensor in encoder.named_buffers()}
    encoder.train()(draw_normal(1, 3, 33, 33))
    assert_same_weights(dict(encoder.named_buffers()), before)


@torch.inference_mode()
def test_resnest_equals_timm_up_to_stride_16():
    torch.manual_seed(0)
    network = create_model("resnest101e", features_only=True, out_indices=(1, 2, 3)).eval()
    for tensor in network.state_dict().values():  # biases and norms that matter
        if tensor.is_floating_point() and tensor.dim() == 1:
            tensor.uniform_(0.5, 1.5)
    encoder = build_encoder("resnest101").eval()
    load_encoder_weights(encoder, network.state_dict())
    image = draw_normal(1, 3, 49, 65)
    for found, expected in zip(encoder(image), network(image), strict=False):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("size", [(29, 113), *slow(((50, 70),), ((1, 1),))])
@torch.inference_mode()
def test_swin_pads_sizes_to_patches_and_windows(swin, size):
    maps = swin(draw_normal(1, 3, *size))
    expected = [tuple(-(-side // stride) for side in size) for stride in (4, 8, 16)]
    assert [tuple(x.shape[2:]) for x in maps[:3]] == expected
    assert all(torch.isfinite(x).all() for x in maps)


def test_masks_of_swin_cached_in_tracking_can_be_trained_with():
    with torch.inference_mode():
        build_block(32, 4, 1, 0.0)(torch.ones(1, 9, 23, 32))
    mask = _shift_mask(14, 28, 3, torch.device("cpu"))
    (mask * torch.ones(1, requires_grad=True)).sum().backward()


def test_shifted_windows_of_swin_take_bfloat16():
    block = build_block(32, 4, 1, 0.0).bfloat16()
    assert block(torch.ones(1, 9, 9, 32, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["swin_base", "resnest101", "timm:resnet18"])
def test_encoder_without_timm_names_its_extra(name, monkeypatch):
    monkeypatch.setattr("aotlab.utils.errors.find_spec", lambda module: None)
    with pytest.raises(InputError, match=r"^timm must be installed for this; pip install 'aotlab\[encoders\]'$"):
        build_encoder(name)


def test_weights_of_a_deeper_resnet_rejected():
    shallow, deep = resnet50(weights=None), resnet101(weights=None)
    load_encoder_weights(build_encoder("resnet50"), shallow.state_dict())
    with pytest.raises(RuntimeError, match=r"weights of a deeper encoder, which has layer3\.10"):
        load_encoder_weights(build_encoder("resnet50"), deep.state_dict())
