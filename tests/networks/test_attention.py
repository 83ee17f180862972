"""Attention against plain twins that do it pixel by pixel."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from aotlab.configs.load import load_config
from aotlab.networks import attention_blocks, attention_products, products
from aotlab.networks.attention import RelativePosition, global_attention, local_attention
from aotlab.networks.attention_products import attention
from aotlab.networks.vos_model import VOSModel

HEADS = 2
SIZES = [(1, 1), (1, 9), (3, 4), (5, 13), (8, 8), (9, 17), (18, 7)]
"""smaller than a window, one row, whole blocks, one more than whole blocks"""


def per_pixel_attention(query, key, value, *, size, position):
    """`local_attention` as its definition reads: every token looks at its own list of keys."""
    height, width = size
    heads, area, dim = position.weight.shape
    side = int(area**0.5)
    offsets = list(itertools.product(range(-(side // 2), side // 2 + 1), repeat=2))
    q, k, v = (x.unflatten(2, (heads, -1)) for x in (query, key, value))
    outputs = []
    for y, x in itertools.product(range(height), range(width)):
        seen = [i for i, (dy, dx) in enumerate(offsets) if 0 <= y + dy < height and 0 <= x + dx < width]
        indices = [(y + offsets[i][0]) * width + x + offsets[i][1] for i in seen]
        token_query = q[:, y * width + x]
        logits = torch.einsum("bhc,bshc->bhs", token_query * dim**-0.5, k[:, indices])
        logits = (
            logits
            + torch.einsum("bhc,hsc->bhs", token_query, position.weight[:, seen])
            + position.bias[:, seen]
        )
        weights = logits.softmax(-1)
        output = torch.einsum("bhs,bshd->bhd", weights, v[:, indices])
        if position.value is not None:
            output = output + torch.einsum("bhs,hds->bhd", weights, position.value[:, :, seen])
        outputs.append(output.flatten(1))
    return torch.stack(outputs, 1)


def inputs(size, window, *, batch=2, with_value=True, dim=8, value_dim=12, dtype=torch.float32):
    generator = torch.Generator().manual_seed(window * 1000 + size[0] * 40 + size[1])

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype)

    tokens = size[0] * size[1]
    q, k, v = (
        draw(batch, tokens, HEADS * dim),
        draw(batch, tokens, HEADS * dim),
        draw(batch, tokens, HEADS * value_dim),
    )
    value = draw(HEADS, value_dim, window**2) if with_value else None
    return q, k, v, RelativePosition(draw(HEADS, window**2, dim) * 0.5, draw(HEADS, window**2), value)


@pytest.mark.parametrize("with_value", [True, False])
@pytest.mark.parametrize("window", [15, 7, 1])
@pytest.mark.parametrize("size", SIZES)
def test_local_attention_equals_its_per_pixel_twin(size, window, with_value):
    q, k, v, position = inputs(size, window, with_value=with_value)
    ours = local_attention(q, k, v, size=size, position=position)
    twin = per_pixel_attention(q, k, v, size=size, position=position)
    # Two orders of summing at most 225 float32 terms of size 1.
    torch.testing.assert_close(ours, twin, atol=1e-5, rtol=0)


@pytest.mark.parametrize("with_value", [True, False])
@pytest.mark.parametrize(("size", "window"), [((3, 10), 7), ((9, 4), 15)])
def test_gradients_of_local_attention_equal_the_twins(size, window, with_value):
    q, k, v, position = inputs(size, window, batch=1, with_value=with_value, dtype=torch.float64)
    leaves = [x.requires_grad_() for x in (q, k, v, *position) if x is not None]
    weights = torch.randn(v.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gradients = [
        torch.autograd.grad((attend(q, k, v, size=size, position=position) * weights).sum(), leaves)
        for attend in (local_attention, per_pixel_attention)
    ]
    for ours, twin in zip(*gradients, strict=True):
        # float64 rounding only
        torch.testing.assert_close(ours, twin, atol=1e-11, rtol=1e-10)


@pytest.mark.parametrize("implementation", products.batch.implementations)
@pytest.mark.parametrize("at_once", [1, 8, 64])
@pytest.mark.parametrize("with_value", [True, False])
def test_local_attention_in_parts_is_that_of_the_whole(with_value, at_once, implementation, monkeypatch):
    """Without gradients a CPU takes some blocks at a time: 3 rows of 4 blocks here, of 2 clips and all heads."""
    monkeypatch.setattr(attention_blocks, "BLOCKS_AT_ONCE", at_once)
    size = (18, 27)
    q, k, v, position = inputs(size, 7, with_value=with_value)
    two_frames = torch.cat([k, k.flip(1)], 1), torch.cat([v, v.flip(1)], 1)
    whole = local_attention(q, *two_frames, size=size, position=position)
    with torch.no_grad(), products.use({"batch": implementation}):
        parts = local_attention(q, *two_frames, size=size, position=position)
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=0)  # as in the test of the twin


def test_a_map_that_was_tracked_can_be_learned_from():
    q, k, v, position = inputs((6, 7), 7)
    with torch.inference_mode():
        tracked = local_attention(q, k, v, size=(6, 7), position=position)
    learned = local_attention(q.requires_grad_(), k, v, size=(6, 7), position=position)
    learned.sum().backward()
    torch.testing.assert_close(learned.detach(), tracked, atol=0, rtol=0)


def test_local_attention_in_bfloat16_has_no_nan_and_stays_near():
    exact = inputs((9, 13), 15)
    coarse = [x.bfloat16() for x in exact[:3]]
    position = RelativePosition(*(x.bfloat16() for x in exact[3]))
    ours = local_attention(*coarse, size=(9, 13), position=position).float()
    assert torch.isfinite(ours).all()
    twin = per_pixel_attention(*exact[:3], size=(9, 13), position=exact[3])
    # 8 bits of mantissa on logits of size 10 move weights by a few per cent.
    assert (ours - twin).abs().mean() < 0.05


def test_gradients_of_local_attention_in_bfloat16_are_finite():
    q, k, v, position = inputs((5, 9), 15, dtype=torch.bfloat16)
    leaves = [x.requires_grad_() for x in (q, k, v, *position)]
    local_attention(q, k, v, size=(5, 9), position=position).float().sum().backward()
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves)


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operation gives."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self.numel = max([self.numel, *sizes])
        return result


def test_local_attention_never_copies_keys_or_values_per_query():
    size, window, dim = (24, 32), 15, 32
    q, k, v, position = inputs(size, window, batch=1, dim=dim, value_dim=dim)
    with LargestTensor() as largest:
        local_attention(q, k, v, size=size, position=position)
    unfolded = size[0] * size[1] * window**2 * HEADS * dim
    # The weights over a block's neighbourhood, 22² per query and head, are the largest: 484 against 225·32.
    assert largest.numel <= unfolded / 10


def explicit_attention(query, key, value, heads):
    outputs = []
    for q, k, v in zip(query.chunk(heads, 2), key.chunk(heads, 2), value.chunk(heads, 2), strict=True):
        outputs.append((q @ k.mT / q.shape[2] ** 0.5).softmax(-1) @ v)
    return torch.cat(outputs, 2)


@pytest.mark.parametrize("implementation", attention.implementations)
@pytest.mark.parametrize("value_dim", [16, 24])
@pytest.mark.parametrize("at_once", [2**20, 40, 1])
@pytest.mark.parametrize("heads", [1, 4])
def test_global_attention_equals_an_explicit_softmax(heads, at_once, value_dim, implementation, monkeypatch):
    monkeypatch.setattr(attention_products, "WEIGHTS_AT_ONCE", at_once)
    monkeypatch.setattr(attention_products, "LEAST_QUERIES", 1)
    generator = torch.Generator().manual_seed(heads)
    query, key = torch.randn(2, 5, 16, generator=generator), torch.randn(2, 9, 16, generator=generator)
    value = torch.randn(2, 9, value_dim, generator=generator)
    with torch.no_grad(), products.use({"attention": implementation}):
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
    for ours, twin in zip(*gradients, strict=True):
        # float64 rounding only
        torch.testing.assert_close(ours, twin, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("implementation", attention.implementations)
@pytest.mark.parametrize("size", [3, 30, 300])
def test_weights_of_large_scores_are_numbers(size, implementation):
    """Scores of up to 5000, of which not even the exponential of one in fifty is a float32 number."""
    draw = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 40, 16, generator=draw) for _ in range(3))
    with torch.no_grad(), products.use({"attention": implementation}):
        found = global_attention(query * size, key * 4, value, 2)
    expected = explicit_attention((query * size).double(), (key * 4).double(), value.double(), 2)
    # scores are rounded to float32, so weights of large ones by as many parts
    torch.testing.assert_close(found.double(), expected, atol=2e-6 * size, rtol=0)


@pytest.mark.parametrize("implementation", attention.implementations)
def test_attention_in_bfloat16_is_that_of_float32_but_for_rounding(implementation):
    draw = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 40, 16, generator=draw) for _ in range(3))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), products.use({"attention": implementation}):
        found = global_attention(query, key, value, 2)
    # scores of up to 8 with 8 bits
    torch.testing.assert_close(found.float(), explicit_attention(query, key, value, 2), atol=0.03, rtol=0)
    assert found.dtype in (torch.bfloat16, torch.float32)


def test_onednns_products_are_left_out_where_gradients_are_needed():
    leaves = [torch.randn(1, 9, 8, requires_grad=True) for _ in range(3)]
    with products.use("onednn"):
        found = products.batch(global_attention(*leaves, 2), leaves[0].mT)
    assert all(gradient.abs().sum() > 0 for gradient in torch.autograd.grad(found.square().sum(), leaves))


def ways_of_tokens():
    """Shapes that a layer is given, one of them not in order in memory."""
    draw = torch.Generator().manual_seed(1)
    maps = torch.randn(2, 6, 3, 5, generator=draw)
    return [maps[0, :, 0].T, maps.permute(0, 2, 3, 1), maps.flatten(2).mT, maps.flatten(2).mT[:, ::2]]


@pytest.mark.parametrize("implementation", products.linear.implementations)
@pytest.mark.parametrize("x", ways_of_tokens(), ids=lambda x: str(tuple(x.shape)))
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_is_pytorchs_and_so_are_its_gradients(x, bias, implementation):
    torch.manual_seed(0)
    layer = products.Linear(6, 4, bias=bias).double()
    inputs = (x.double().requires_grad_(), *layer.parameters())
    with products.use({"linear": implementation}):
        ours = layer(inputs[0])
    results = [ours, F.linear(inputs[0], *layer.parameters())]
    # float64 rounding only
    torch.testing.assert_close(*results, atol=1e-13, rtol=0)
    gradients = [torch.autograd.grad(result.square().sum(), inputs) for result in results]
    for ours, twin in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, twin, atol=1e-12, rtol=0)
    assert layer.float()(x.float()).shape == (*x.shape[:-1], 4)


@pytest.mark.parametrize("name", ["aott", "deaott", "msdeaott", "swinb_aotl", "r50_paotl"])
def test_every_linear_layer_of_a_model_is_this_one(name):
    model = VOSModel(load_config(name).model)
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    assert len(layers) >= 10
    assert all(type(layer) is products.Linear for layer in layers)


@pytest.mark.parametrize("threads", [1, 2])
def test_products_and_their_gradients_are_right_on_one_thread_and_on_two(threads):
    """PyTorch has other kernels for a single thread, and for less than 20480 numbers, which these are not."""
    q, k, v, position = inputs((9, 40), 7, dim=64, value_dim=48)
    leaves = [x.requires_grad_() for x in (q, k, v)]
    layer = products.Linear(128, 32)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = layer(q), global_attention(q, k, v, HEADS)
        gradients = torch.autograd.grad(sum(x.sin().sum() for x in found), [*leaves, *layer.parameters()])
        local = local_attention(q, k, v, size=(9, 40), position=position)
    finally:
        torch.set_num_threads(before)
    expected = F.linear(q, layer.weight, layer.bias), explicit_attention(q, k, v, HEADS)
    # float32 rounding of sums of 128 and 720 terms
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    wanted = torch.autograd.grad(sum(x.sin().sum() for x in expected), [*leaves, *layer.parameters()])
    torch.testing.assert_close(gradients, wanted, atol=1e-4, rtol=1e-4)
    twin = per_pixel_attention(q, k, v, size=(9, 40), position=position)
    torch.testing.assert_close(local, twin, atol=1e-5, rtol=0)


@pytest.mark.parametrize("implementation", products.batch.implementations)
def test_a_batch_of_products_is_each_of_them(implementation):
    draw = torch.Generator().manual_seed(0)
    left, right = torch.randn(4, 5, 6, generator=draw), torch.randn(4, 6, 3, generator=draw)
    with torch.no_grad(), products.use({"batch": implementation}):
        found = products.batch(left, right)
    expected = torch.stack([a @ b for a, b in zip(left, right, strict=True)])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)  # float32 rounding of sums of 6 terms


def test_a_choice_ends_with_its_context_and_the_inner_one_wins():
    calls = []

    def noting(*args):
        calls.append(args)
        return F.linear(*args)

    x, weight = torch.ones(2, 3), torch.ones(4, 3)
    with products.use({"linear": noting}):
        products.linear(x, weight, None)
        with products.use("plain"):
            products.linear(x, weight, None)
    products.linear(x, weight, None)
    assert len(calls) == 1


def test_an_unknown_set_of_products_is_refused():
    with pytest.raises(ValueError, match=r"products: must be one of plain, .*, got quick"):
        products.use("quick").__enter__()
