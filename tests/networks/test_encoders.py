"""The encoders' contract: strides, channels, frozen norms, frozen stages."""

from __future__ import annotations

import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.networks.build import build_model
from aotlab.networks.encoders import build_encoder, freeze_encoder
from aotlab.networks.swin import SwinBase
from aotlab.networks.weights.published_keys import to_published_name
from tests.shared import golden_table


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def swin():
    torch.manual_seed(0)
    return SwinBase().eval()


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50"])
def test_norms_hold_no_parameters_and_do_not_change_in_training(name):
    encoder = build_encoder(name)
    assert not any("norm" in key or ".bn" in key for key, _ in encoder.named_parameters())
    before = {key: tensor.clone() for key, tensor in encoder.named_buffers()}
    encoder.train()(drawn(1, 3, 33, 33))
    assert all(torch.equal(tensor, before[key]) for key, tensor in encoder.named_buffers())


@pytest.mark.parametrize("size", [(50, 70), (29, 113), (1, 1)])
@torch.inference_mode()
def test_swin_pads_sizes_to_patches_and_windows(swin, size):
    maps = swin(drawn(1, 3, *size))
    assert [tuple(x.shape[2:]) for x in maps[:3]] == [
        (-(-size[0] // s), -(-size[1] // s)) for s in (4, 8, 16)
    ]
    assert all(torch.isfinite(x).all() for x in maps)


@pytest.mark.parametrize("variant", ["aott", "r50_aotl", "swinb_aotl"])
def test_two_frozen_stages_equal_reference(variant):
    with torch.device("meta"):
        model = build_model(load_config(variant).model)
    freeze_encoder(model.encoder, 2)
    groups = golden_table(f"keys/{variant}.optim")
    frozen = {
        to_published_name(name) for name, parameter in model.named_parameters() if not parameter.requires_grad
    }
    assert frozen == {name for group in groups if group.get("frozen") for name in group["params"]}
