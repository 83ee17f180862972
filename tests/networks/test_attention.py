"""Attention against its definition, token by token: the plain modules and the fast ones, with gradients."""

import itertools

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from aotlab.networks.attention import Attention, LocalAttention, global_attention, local_attention, sine_position
from aotlab.networks.fast import attention as fast_attention
from aotlab.networks.fast.attention import chunked_attention, dense_attention, tiled_local_attention
from aotlab_testing.marks import slow

HEADS, DIM = 2, 16
KERNELS = [local_attention, tiled_local_attention]
SIZES = [(1, 1), (1, 9), (3, 4), (5, 13), (9, 17), (18, 7), (26, 33)]
"""Smaller than a window, one row, whole blocks, one more than whole blocks, larger than blocks with their margins."""


def build_local(kernel, window=7, *, relative=True, dtype=torch.float32):
    torch.manual_seed(window)
    attention = LocalAttention(DIM, HEADS, window, relative_key=relative, relative_value=relative).to(dtype)
    attention.kernel = kernel
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return attention


def draw_tokens(size, frames=1, *, dim=DIM, batch=2, seed=0, dtype=torch.float32):
    shape = (batch, frames * size[0] * size[1], dim)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def attend_by_definition(attention, query, key, value, size):
    """Every token with its own list of keys: one softmax over its windows in all frames."""
    (height, width), side, frames = size, attention.window, key.shape[1] // query.shape[1]
    offsets = list(itertools.product(range(-(side // 2), side // 2 + 1), repeat=2))
    query, key, value = (x.unflatten(2, (HEADS, -1)) for x in (query, key, value))
    outputs = []
    for y, x in itertools.product(range(height), range(width)):
        seen = [i for i, (dy, dx) in enumerate(offsets) if 0 <= y + dy < height and 0 <= x + dx < width]
        places = [(y + offsets[i][0]) * width + x + offsets[i][1] for i in seen]
        indices = [frame * height * width + place for frame in range(frames) for place in places]
        q = query[:, y * width + x]  # B×heads×c
        logits = torch.einsum("bhc,bshc->bhs", q * q.shape[2] ** -0.5, key[:, indices])
        if attention.relative_key is not None:
            weight = attention.relative_key.weight.view(HEADS, side**2, -1)[:, seen]
            bias = attention.relative_key.bias.view(HEADS, side**2)[:, seen]
            logits = logits + (torch.einsum("bhc,hsc->bhs", q, weight) + bias).repeat(1, 1, frames)
        weights = logits.softmax(2)
        output = torch.einsum("bhs,bshd->bhd", weights, value[:, indices])
        if attention.relative_value is not None:
            added = attention.relative_value[:, :, seen].repeat(1, 1, frames)
            output = output + torch.einsum("bhs,hds->bhd", weights, added)
        outputs.append(output.flatten(1))
    return torch.stack(outputs, 1)


CASES = [(size, window, True, 1) for size in SIZES for window in (15, 7) if (size, window) != ((26, 33), 15)]
CASES += [((9, 17), window, False, 1) for window in (15, 7, 1)] + [((26, 33), 7, False, 1)]
CASES += [((5, 13), 7, True, 3)]  # windows of several frames share one softmax
CASES += slow(((26, 33), 15, True, 1), ((26, 33), 7, True, 3))


@pytest.mark.parametrize(("size", "window", "relative", "frames"), CASES)
@torch.no_grad()
def test_local_attention_equals_its_definition(size, window, relative, frames):
    plain, tiled = (build_local(kernel, window, relative=relative) for kernel in KERNELS)
    inputs = [draw_tokens(size, count, seed=seed) for seed, count in enumerate((1, frames, frames))]
    expected = attend_by_definition(plain, *inputs, size=size)
    for attention in (plain, tiled):
        # two orders of summing at most 225 float32 terms of size 1
        torch.testing.assert_close(attention(*inputs, size), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize(("size", "window"), [((3, 10), 7), ((17, 18), 5)])
def test_local_attention_gradients_equal_the_definitions(size, window):
    plain, tiled = (build_local(kernel, window, dtype=torch.float64) for kernel in KERNELS)
    inputs = [draw_tokens(size, batch=1, seed=seed, dtype=torch.float64).requires_grad_() for seed in range(3)]
    weights = draw_tokens(size, batch=1, seed=5, dtype=torch.float64)

    def gradients(output, attention):
        return torch.autograd.grad((output * weights).sum(), [*inputs, *attention.parameters()])

    expected = gradients(attend_by_definition(plain, *inputs, size=size), plain)
    for attention in (plain, tiled):  # float64 rounding
        found = gradients(attention(*inputs, size), attention)
        torch.testing.assert_close(found, expected, atol=1e-11, rtol=1e-10)


@pytest.mark.parametrize("at_once", [1, 8, 64])
@torch.no_grad()
def test_blocks_in_chunks_equal_one_chunk(at_once, monkeypatch):
    size, attention = (26, 33), build_local(tiled_local_attention)
    query, key, value = draw_tokens(size), draw_tokens(size, 2, seed=1), draw_tokens(size, 2, seed=2)
    with torch.enable_grad():
        whole = attention(query, key, value, size)
    monkeypatch.setattr(fast_attention, "TILES_AT_ONCE", at_once)
    torch.testing.assert_close(attention(query, key, value, size), whole, atol=2e-5, rtol=0)


@pytest.mark.parametrize("size", [(6, 7), (26, 33)])
def test_inference_mode_map_can_be_trained_on(size):
    attention, inputs = build_local(tiled_local_attention), [draw_tokens(size, seed=seed) for seed in range(3)]
    with torch.inference_mode():
        tracked = attention(*inputs, size)
    learned = attention(*(x.requires_grad_() for x in inputs), size)
    learned.sum().backward()
    torch.testing.assert_close(learned.detach(), tracked, atol=2e-5, rtol=0)


@torch.no_grad()
def test_local_attention_in_bfloat16_stays_near():
    size, attention = (26, 33), build_local(tiled_local_attention)
    inputs = [draw_tokens(size, seed=seed) for seed in range(3)]
    exact = attention(*inputs, size)
    coarse = attention.bfloat16()(*(x.bfloat16() for x in inputs), size).float()
    # 8 bits of mantissa on logits of size 3 move weights by a few per cent
    assert (coarse - exact).abs().mean() < 0.05


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest result of any operation."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self.numel = max([self.numel, *sizes])
        return result


def test_blocks_never_copy_keys_per_query():
    size, window = (40, 56), 15
    with LargestTensor() as largest:
        build_local(tiled_local_attention, window)(*(draw_tokens(size, batch=1, seed=seed) for seed in range(3)), size)
    unfolded = size[0] * size[1] * window**2 * DIM
    # the weights over a block's neighborhood are the largest: 22² per query and head against 225 × 8
    assert largest.numel <= unfolded / 3


@pytest.mark.parametrize("kernel", [global_attention, chunked_attention])
@pytest.mark.parametrize(("heads", "wide"), [(1, 48), (4, 16)])
@pytest.mark.parametrize("at_once", [3, 512])
@torch.no_grad()
def test_attention_equals_its_definition(kernel, heads, wide, at_once, monkeypatch):
    monkeypatch.setattr(fast_attention, "QUERY_CHUNK", at_once)
    query, key, value = (draw_tokens((4, 5)), draw_tokens((4, 5), 2, seed=1), draw_tokens((4, 5), 2, dim=wide, seed=2))
    q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    expected = (q @ k.mT * q.shape[3] ** -0.5).softmax(3) @ v
    found = kernel(query, key, value, heads)
    torch.testing.assert_close(found, expected.transpose(1, 2).flatten(2), atol=1e-5, rtol=0)


@pytest.mark.parametrize("heads", [1, 4])
def test_dense_attention_in_bfloat16_equals_float32(heads):
    inputs = [draw_tokens((4, 5), seed=seed).bfloat16().requires_grad_() for seed in range(3)]
    exact = [x.detach().float().requires_grad_() for x in inputs]
    results = []
    for kernel, tokens in ((global_attention, exact), (dense_attention, inputs)):
        attention = Attention(heads)
        attention.kernel = kernel
        output = attention(*tokens)
        weights = torch.linspace(-1, 1, output.numel()).view_as(output)
        results.append([output, *torch.autograd.grad((output.float() * weights).sum(), tokens)])
    for expected, found in zip(*results, strict=True):
        # weights, products and sums are each rounded to 8 bits
        torch.testing.assert_close(found.float(), expected, atol=2**-6 * expected.abs().max().item(), rtol=0)


@pytest.mark.parametrize("size", [(5, 1), (1, 5)])
def test_sine_positions_span_one_period(size):
    halves = sine_position(size, torch.empty(1, 5, 8))[0].split(4, dim=1)
    along, across = halves if size[0] > 1 else halves[::-1]
    waves = torch.tensor([[0, 1], [1, 0], [0, -1], [-1, 0], [0, 1]])  # sine and cosine of the shortest period
    torch.testing.assert_close(along[:, :2], waves.float(), atol=1e-5, rtol=0)
    assert across.tolist() == [[0, 1, 0, 1]] * 5
