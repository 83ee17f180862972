"""Linear layers and batches of products by every kernel, and how one is chosen."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from aotlab.configs.load import load_config
from aotlab.networks.attention import global_attention, local_attention
from aotlab.networks.kernels import SETS
from aotlab.networks.kernels.products import batch
from aotlab.networks.operations import use
from aotlab.networks.primitives import Linear, linear
from aotlab.networks.vos_model import VOSModel
from tests.networks.kernels.test_global_attention import explicit_attention
from tests.networks.test_attention import HEADS, inputs, per_pixel_attention


def ways_of_tokens():
    """Shapes that a layer is given, one of them not in order in memory."""
    draw = torch.Generator().manual_seed(1)
    maps = torch.randn(2, 6, 3, 5, generator=draw)
    return [maps[0, :, 0].T, maps.permute(0, 2, 3, 1), maps.flatten(2).mT, maps.flatten(2).mT[:, ::2]]


@pytest.mark.parametrize("kernel", linear.kernels)
@pytest.mark.parametrize("x", ways_of_tokens(), ids=lambda x: str(tuple(x.shape)))
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_is_pytorchs_and_so_are_its_gradients(x, bias, kernel):
    torch.manual_seed(0)
    layer = Linear(6, 4, bias=bias).double()
    inputs = (x.double().requires_grad_(), *layer.parameters())
    with use({"linear": kernel}):
        ours = layer(inputs[0])
    results = [ours, F.linear(inputs[0], *layer.parameters())]
    # float64 rounding only
    torch.testing.assert_close(*results, atol=1e-13, rtol=0)
    gradients = [torch.autograd.grad(result.square().sum(), inputs) for result in results]
    for ours, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-12, rtol=0)
    assert layer.float()(x.float()).shape == (*x.shape[:-1], 4)


@pytest.mark.parametrize("name", ["aott", "msdeaott", "swinb_aotl"])
def test_every_linear_layer_of_a_model_is_this_one(name):
    model = VOSModel(load_config(name).model)
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    assert len(layers) >= 10
    assert all(type(layer) is Linear for layer in layers)


@pytest.mark.parametrize("threads", [1, 2])
def test_products_and_their_gradients_are_right_on_one_thread_and_on_two(threads):
    """PyTorch has other kernels for a single thread, and for less than 20480 numbers, which these are not."""
    q, k, v, position = inputs((9, 40), 7, dim=64, value_dim=48)
    leaves = [x.requires_grad_() for x in (q, k, v)]
    layer = Linear(128, 32)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = layer(q), global_attention(q, k, v, HEADS)
        gradients = torch.autograd.grad(sum(x.sin().sum() for x in found), [*leaves, *layer.parameters()])
        local = local_attention(q, k, v, (9, 40), position)
    finally:
        torch.set_num_threads(before)
    expected = F.linear(q, layer.weight, layer.bias), explicit_attention(q, k, v, HEADS)
    # float32 rounding of sums of 128 and 720 terms
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    wanted = torch.autograd.grad(sum(x.sin().sum() for x in expected), [*leaves, *layer.parameters()])
    torch.testing.assert_close(gradients, wanted, atol=1e-4, rtol=1e-4)
    expected = per_pixel_attention(q, k, v, (9, 40), position)
    torch.testing.assert_close(local, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kernel", batch.kernels)
def test_a_batch_of_products_is_each_of_them(kernel):
    draw = torch.Generator().manual_seed(0)
    left, right = torch.randn(4, 5, 6, generator=draw), torch.randn(4, 6, 3, generator=draw)
    with torch.no_grad(), use({"batch": kernel}):
        found = batch(left, right)
    expected = torch.stack([a @ b for a, b in zip(left, right, strict=True)])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)  # float32 rounding of sums of 6 terms


def test_a_choice_ends_with_its_context_and_the_inner_one_wins():
    calls = []

    def noting(*args):
        calls.append(args)
        return F.linear(*args)

    x, weight = torch.ones(2, 3), torch.ones(4, 3)
    with use({"linear": noting}):
        linear(x, weight, None)
        with use(SETS["plain"]):
            linear(x, weight, None)
    linear(x, weight, None)
    assert len(calls) == 1
