"""Global attention by every kernel: an explicit softmax, also of large scores and in two bytes."""

from __future__ import annotations

import pytest
import torch

from aotlab.networks.attention import attention, global_attention
from aotlab.networks.kernels import SETS
from aotlab.networks.kernels import global_attention as attention_kernels
from aotlab.networks.kernels.products import batch
from aotlab.networks.operations import use


def explicit_attention(query, key, value, heads):
    outputs = []
    for q, k, v in zip(query.chunk(heads, 2), key.chunk(heads, 2), value.chunk(heads, 2), strict=True):
        outputs.append((q @ k.mT / q.shape[2] ** 0.5).softmax(-1) @ v)
    return torch.cat(outputs, 2)


@pytest.mark.parametrize("kernel", attention.kernels)
@pytest.mark.parametrize("value_dim", [16, 24])
@pytest.mark.parametrize("at_once", [2**20, 40, 1])
@pytest.mark.parametrize("heads", [1, 4])
def test_global_attention_equals_an_explicit_softmax(heads, at_once, value_dim, kernel, monkeypatch):
    monkeypatch.setattr(attention_kernels, "WEIGHTS_AT_ONCE", at_once)
    monkeypatch.setattr(attention_kernels, "LEAST_QUERIES", 1)
    generator = torch.Generator().manual_seed(heads)
    query, key = torch.randn(2, 5, 16, generator=generator), torch.randn(2, 9, 16, generator=generator)
    value = torch.randn(2, 9, value_dim, generator=generator)
    with torch.no_grad(), use({"attention": kernel}):
        found = global_attention(query, key, value, heads)
    # float32 rounding of sums of 16 terms
    torch.testing.assert_close(found, explicit_attention(query, key, value, heads), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("value_dim", [8, 12])
def test_gradients_of_global_attention_equal_those_of_an_explicit_softmax(value_dim):
    draw = torch.Generator().manual_seed(0)
    shapes = ((2, 6, 8), (2, 7, 8), (2, 7, value_dim))
    leaves = [torch.randn(*shape, generator=draw, dtype=torch.float64).requires_grad_() for shape in shapes]
    weights = torch.randn(2, 6, value_dim, generator=draw, dtype=torch.float64)
    gradients = [
        torch.autograd.grad((attend(*leaves, 2) * weights).sum(), leaves)
        for attend in (global_attention, explicit_attention)
    ]
    for ours, expected in zip(*gradients, strict=True):
        # float64 rounding only
        torch.testing.assert_close(ours, expected, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("kernel", attention.kernels)
@pytest.mark.parametrize("size", [1.9, 3, 30, 300])
def test_weights_of_large_scores_are_numbers(size, kernel):
    """Scores of up to 39, just within what is not shifted, to 6200, of half of which no power is a float32 number."""
    draw = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 40, 16, generator=draw) for _ in range(3))
    with torch.no_grad(), use({"attention": kernel}):
        found = global_attention(query * size, key * 4, value, 2)
    expected = explicit_attention((query * size).double(), (key * 4).double(), value.double(), 2)
    # a score of 6200 is rounded to 2e-4 in float32, and so much is its weight
    torch.testing.assert_close(found.double(), expected, atol=2e-6 * size, rtol=0)


@pytest.mark.parametrize("kernel", attention.kernels)
@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_attention_in_two_bytes_is_that_of_float32_but_for_rounding(precision, kernel):
    draw = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 40, 16, generator=draw) for _ in range(3))
    with torch.no_grad(), torch.autocast("cpu", precision), use({"attention": kernel}):
        found = global_attention(query, key, value, 2)
    # scores of up to 5 with 8 bits
    torch.testing.assert_close(found.float(), explicit_attention(query, key, value, 2), atol=0.03, rtol=0)
    assert found.dtype == precision


def test_onednns_products_are_left_out_where_gradients_are_needed():
    leaves = [torch.randn(1, 9, 8, requires_grad=True) for _ in range(3)]
    with use(SETS["onednn"]):
        found = batch(global_attention(*leaves, 2), leaves[0].mT)
    assert all(gradient.abs().sum() > 0 for gradient in torch.autograd.grad(found.square().sum(), leaves))
