"""Local attention by every kernel against a reference that attends pixel by pixel, as a whole and in parts."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from aotlab.networks.attention import local_attention
from aotlab.networks.kernels import local_attention as attention_blocks
from aotlab.networks.kernels.products import batch
from aotlab.networks.operations import use
from aotlab.networks.positions import RelativePosition

HEADS = 2
SIZES = [(1, 1), (1, 9), (3, 4), (5, 13), (8, 8), (9, 17), (18, 7)]
"""smaller than a window, one row, whole blocks, one more than whole blocks"""


def per_pixel_attention(query, key, value, size, position):
    """`local_attention` token by token, each with its own list of keys."""
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


@pytest.mark.parametrize("kernel", local_attention.kernels)
@pytest.mark.parametrize("with_value", [True, False])
@pytest.mark.parametrize("window", [15, 7, 1])
@pytest.mark.parametrize("size", SIZES)
def test_local_attention_equals_its_per_pixel_reference(size, window, with_value, kernel):
    q, k, v, position = inputs(size, window, with_value=with_value)
    with use({"local_attention": kernel}):
        ours = local_attention(q, k, v, size, position)
    reference = per_pixel_attention(q, k, v, size, position)
    # Two orders of summing at most 225 float32 terms of size 1.
    torch.testing.assert_close(ours, reference, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kernel", local_attention.kernels)
@pytest.mark.parametrize("with_value", [True, False])
@pytest.mark.parametrize(("size", "window"), [((3, 10), 7), ((9, 4), 15)])
def test_gradients_of_local_attention_equal_those_of_the_reference(size, window, with_value, kernel):
    q, k, v, position = inputs(size, window, batch=1, with_value=with_value, dtype=torch.float64)
    leaves = [x.requires_grad_() for x in (q, k, v, *position) if x is not None]
    weights = torch.randn(v.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gradients = [
        torch.autograd.grad((attend(q, k, v, size, position) * weights).sum(), leaves)
        for attend in (local_attention.kernels[kernel], per_pixel_attention)
    ]
    for ours, reference in zip(*gradients, strict=True):
        # float64 rounding only
        torch.testing.assert_close(ours, reference, atol=1e-11, rtol=1e-10)


@pytest.mark.parametrize("kernel", batch.kernels)
@pytest.mark.parametrize("at_once", [1, 8, 64])
@pytest.mark.parametrize("with_value", [True, False])
def test_local_attention_in_parts_is_that_of_the_whole(with_value, at_once, kernel, monkeypatch):
    """Without gradients a CPU takes some blocks at a time: 3 rows of 4 blocks here, of 2 clips and all heads."""
    monkeypatch.setattr(attention_blocks, "BLOCKS_AT_ONCE", at_once)
    size = (18, 27)
    q, k, v, position = inputs(size, 7, with_value=with_value)
    two_frames = torch.cat([k, k.flip(1)], 1), torch.cat([v, v.flip(1)], 1)
    whole = local_attention(q, *two_frames, size, position)
    with torch.no_grad(), use({"batch": kernel}):
        parts = local_attention(q, *two_frames, size, position)
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=0)  # as above


def test_a_map_that_was_tracked_can_be_learned_from():
    q, k, v, position = inputs((6, 7), 7)
    with torch.inference_mode():
        tracked = local_attention(q, k, v, (6, 7), position)
    learned = local_attention(q.requires_grad_(), k, v, (6, 7), position)
    learned.sum().backward()
    torch.testing.assert_close(learned.detach(), tracked, atol=0, rtol=0)


def test_local_attention_in_bfloat16_has_no_nan_and_stays_near():
    exact = inputs((9, 13), 15)
    coarse = [x.bfloat16() for x in exact[:3]]
    position = RelativePosition(*(x.bfloat16() for x in exact[3]))
    ours = local_attention(*coarse, (9, 13), position).float()
    assert torch.isfinite(ours).all()
    reference = per_pixel_attention(*exact[:3], (9, 13), exact[3])
    # 8 bits of mantissa on logits of size 10 move weights by a few per cent.
    assert (ours - reference).abs().mean() < 0.05


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
        local_attention(q, k, v, size, position)
    unfolded = size[0] * size[1] * window**2 * HEADS * dim
    # The weights over a block's neighbourhood, 22² per query and head, are the largest: 484 against 225·32.
    assert largest.numel <= unfolded / 10
