"""Short-term attention to several frames, without relative positions, and not at all."""

from __future__ import annotations

import pytest
import torch

from aotlab.configs.schema import StageConfig
from aotlab.networks.aot import LSTTBlock
from aotlab.networks.attention import local_attention
from aotlab.networks.model import BlockMemory, KeyValue
from tests.networks.test_attention import inputs

SIZE, TOKENS, DIM = (9, 13), 9 * 13, 32


def block(**options):
    torch.manual_seed(0)
    made = LSTTBlock(DIM, StageConfig(heads=2, feedforward=32, **options), True).eval()
    if made.position_value is not None:
        torch.nn.init.normal_(made.position_value)
    return made


def tokens(seed, count=TOKENS):
    return torch.randn(1, count, DIM, generator=torch.Generator().manual_seed(seed))


def memory(short_frames=1):
    short = [tokens(10 + index) for index in range(2 * short_frames)]
    joined = KeyValue(torch.cat(short[::2], 1), torch.cat(short[1::2], 1))
    return BlockMemory(KeyValue(tokens(2), tokens(3)), joined)


def dense_attention(query, keys, values, size, position):
    """The definition over frames: one softmax over every token of every frame, those outside of windows left out."""
    heads, area, dim = position.weight.shape
    side, (height, width) = int(area**0.5), size
    ys, xs = (
        axis.flatten() for axis in torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    )
    dy, dx = ys[None] - ys[:, None], xs[None] - xs[:, None]
    inside = (dy.abs() <= side // 2) & (dx.abs() <= side // 2)
    index = torch.where(inside, (dy + side // 2) * side + dx + side // 2, 0)
    q = query.unflatten(2, (heads, -1))
    relative = torch.einsum("bqhc,hsc->bhqs", q, position.weight) + position.bias[:, None]
    relative = relative.gather(3, index.expand(len(query), heads, *index.shape))
    logits = []
    for key in keys:
        logits.append(
            torch.einsum("bqhc,bkhc->bhqk", q * dim**-0.5, key.unflatten(2, (heads, -1))) + relative
        )
    weights = (
        torch.stack(logits).masked_fill(~inside, float("-inf")).permute(1, 2, 3, 0, 4)
    )  # frame before key
    weights = weights.flatten(3).softmax(3).unflatten(3, (len(keys), -1))
    stacked = torch.stack(values).unflatten(3, (heads, -1))
    output = torch.einsum("bhqfk,fbkhd->bqhd", weights, stacked)
    if position.value is not None:
        output = output + torch.einsum("bhqfk,hdqk->bqhd", weights, position.value[:, :, index])
    return output.flatten(2)


@pytest.mark.parametrize("with_value", [True, False])
@pytest.mark.parametrize(("size", "window"), [((5, 13), 7), ((9, 17), 15), ((1, 1), 1)])
def test_windows_of_several_frames_share_one_softmax(size, window, with_value):
    q, k, v, position = inputs(size, window, with_value=with_value)
    keys, values = [k, k.flip(1), 0.3 * k], [v, v.roll(1, 1), -v]
    ours = local_attention(q, torch.cat(keys, 1), torch.cat(values, 1), size, position)
    expected = dense_attention(q, keys, values, size, position)
    # Two orders of summing at most 675 float32 terms of size 1.
    torch.testing.assert_close(ours, expected, atol=2e-5, rtol=0)


def test_without_a_window_nothing_reads_short_term_memory_and_no_parameter_is_left_of_it():
    none = block(window=0)
    outputs = [none(tokens(0), SIZE, read, None)[0] for read in (memory(), memory()._replace(short=None))]
    assert torch.equal(*outputs)
    assert not [name for name, _ in none.named_parameters() if name.startswith(("short", "position"))]


def test_without_relative_positions_a_window_is_read_by_keys_alone():
    plain, with_position = block(window=7, relative_position=False), block(window=7)
    with_position.load_state_dict(plain.state_dict(), strict=False)
    for parameter in (
        with_position.position_key.weight,
        with_position.position_key.bias,
        with_position.position_value,
    ):
        torch.nn.init.zeros_(parameter)
    results = [each(tokens(0), SIZE, memory(), None)[0] for each in (plain, with_position)]
    assert torch.equal(*results)
    assert not [name for name, _ in plain.named_parameters() if name.startswith("position")]


def test_without_sine_positions_moving_all_tokens_moves_what_self_attention_gives():
    order = torch.randperm(TOKENS, generator=torch.Generator().manual_seed(5))
    x = tokens(0)
    for sine, moves_along in ((False, True), (True, False)):
        one = block(window=0, sine_position=sine)
        seen = []
        one.self_attention.register_forward_hook(lambda _, __, output, seen=seen: seen.append(output))
        for given in (x, x[:, order]):
            one(given, SIZE, memory(), None)
        # float32 rounding of sums in another order
        assert torch.allclose(seen[0][:, order], seen[1], atol=1e-5) == moves_along
