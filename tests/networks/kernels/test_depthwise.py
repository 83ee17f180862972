"""Depthwise convolutions whose gradients are convolutions, against PyTorch's own."""

from __future__ import annotations

import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.networks import kernels
from aotlab.networks.operations import use
from aotlab.networks.primitives import DepthwiseConv2d, depthwise
from aotlab.networks.vos_model import VOSModel

kernels.install()


def gradients(choice, side, dilation, batch, memory_format=torch.contiguous_format):
    """Result and gradients of input, kernel and bias by a kernel."""
    torch.manual_seed(side)
    x = torch.randn(batch, 6, 9, 11, dtype=torch.float64).contiguous(memory_format=memory_format)
    leaves = [x, torch.randn(6, 1, side, side, dtype=torch.float64), torch.randn(6, dtype=torch.float64)]
    for leaf in leaves:
        leaf.requires_grad_()
    with use({"depthwise": choice}):
        result = depthwise(*leaves, dilation)
    return result, *torch.autograd.grad(result, leaves, torch.randn(result.shape, dtype=result.dtype))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("side", "dilation", "batch"), [(5, 1, 2), (3, 2, 3), (3, 1, 1), (1, 1, 2)])
def test_gradients_equal_those_of_pytorch(side, dilation, batch, memory_format):
    plain = gradients("plain", side, dilation, batch)
    ours = gradients("convolved", side, dilation, batch, memory_format)
    # Two orders of summing at most 200 float64 terms of size 1.
    torch.testing.assert_close(ours, plain, atol=1e-12, rtol=0)


def test_large_and_dilated_kernels_learn_by_convolutions_and_autocast_does_not():
    layer, x = DepthwiseConv2d(8, 5), torch.randn(1, 8, 9, 9)
    assert depthwise.rule(x, layer.weight, None, 1) == "convolved"
    assert depthwise.rule(x, layer.weight[..., 1:4, 1:4], None, 1) == "plain"
    assert depthwise.rule(x, layer.weight[..., 1:4, 1:4], None, 2) == "convolved"
    with torch.no_grad():
        assert depthwise.rule(x, layer.weight, None, 1) == "plain"
    with torch.autocast("cpu", torch.bfloat16):
        assert depthwise.rule(x, layer.weight, None, 1) == "plain"
        layer(x).float().sum().backward()
    assert layer.weight.grad.isfinite().all()


def test_every_depthwise_convolution_of_stride_one_is_of_this_kind(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "aotlab.networks.encoders.depthwise", lambda *args: seen.append(args) or depthwise(*args)
    )
    model = VOSModel(load_config("deaott").model)
    model.encoder(torch.zeros(1, 3, 33, 33))
    assert len(seen) == 14  # 17 blocks, of which 3 have a stride
