"""Memory bank: frames kept by a policy, as a buffer and as a list."""

import math
from itertools import chain

import numpy as np
import pytest

from aotlab.configs.schema import MemoryConfig
from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.policies import FIFO, build_policy
from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.model import BlockMemory, KeyValue
from aotlab_testing.frames import FRAME_BYTES, TOKENS, count_memory_bytes, draw_memory, fill_bank, list_long_frames
from aotlab_testing.small_model import build, draw_stripes, draw_texture, run_tracker


def long_addresses(bank):
    """Data pointers of the tensors of long-term memory."""
    return [x.data_ptr() for block in chain(*bank.read()) for x in block.long]


def short_term_frames(bank, block=0):
    """Numbers of the frames in short-term memory, in the order of its tokens."""
    short = bank.read()[0][block].short
    np.testing.assert_array_equal(short.value[0, ::TOKENS, 0], -(short.key[0, ::TOKENS, 0] - block / 10).round() - 1)
    return [round(float(x) - block / 10) for x in short.key[0, ::TOKENS, 0]]


@pytest.mark.parametrize(("policy", "frames"), [
    (FIFO(math.inf), [0]), (FIFO(1), list(range(12))), (FIFO(2), [0, 2, 4, 6, 8, 10]), (FIFO(5), [0, 5, 10]),
    (FIFO(50), [0]),
])  # fmt: skip
@pytest.mark.parametrize("training", [False, True])
def test_policy_decides_which_frames_are_kept(policy, frames, training):
    bank = fill_bank(policy, 12, training=training)
    assert bank.frames == frames
    assert len(bank) == len(frames)
    assert list_long_frames(bank) == frames
    assert list_long_frames(bank, block=1) == frames
    assert bank.read()[0][1].ages.tolist() == [12 - frame for frame in frames]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("skip", [1, 2, 4])
def test_short_term_memory_ends_skip_frames_ago(skip, count):
    for frames in range(1, 10):
        bank, newest = fill_bank(FIFO(math.inf), frames, skip, short_term_frames=count), max(frames - skip, 0)
        expected = list(range(max(newest - count + 1, 0), newest + 1))
        assert short_term_frames(bank) == short_term_frames(bank, block=1) == expected


@pytest.mark.parametrize(("skip", "count", "kept"), [(3, 1, [3]), (1, 3, [3, 4])])
def test_later_reference_clears_short_term_memory(skip, count, kept):
    bank = fill_bank(FIFO(math.inf), 5, skip, references=(0, 3), short_term_frames=count)
    assert bank.frames == [0, 3]
    assert short_term_frames(bank) == kept


def test_tracker_reads_configured_short_term_frames():
    model, config = build("aott", "memory.short_term_frames=3")
    seen = []
    model.blocks[0].register_forward_pre_hook(lambda _, args: seen.append(args[2]))
    run_tracker(Tracker(model, config, optimize=False), draw_texture(5), {0: draw_stripes([1, 2])})
    tokens = 3 * 4
    assert [read.short.key.shape[1] // tokens for read in seen[1:]] == [1, 2, 3, 3]
    assert {read.long.key.shape[1] for read in seen[1:]} == {tokens}


def test_interval_restarts_at_a_reference():
    assert fill_bank(FIFO(2), 7, references=(0, 3)).frames == [0, 2, 3, 5]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("place", [0, 1, 3])
def test_frame_is_evicted_from_every_block(place, training):
    bank = MemoryBank(FIFO(1), training=training)
    for number in range(4):
        coarse, ((fine,),) = draw_memory(number), draw_memory(number, blocks=1)
        long = KeyValue(*(x[:, ::3] for x in fine.long))
        (bank.add if number else bank.add_reference)([*coarse, [BlockMemory(long, fine.short)]])
    bank.evict(place)
    kept = [number for number in range(4) if number != place]
    assert bank.frames == kept
    assert list_long_frames(bank) == kept
    assert list_long_frames(bank, block=1) == kept
    assert bank.read()[1][0].long.key[0, ::2, 0].tolist() == kept
    assert bank.read()[1][0].short.key.shape[1] == TOKENS


@pytest.mark.parametrize("place", [0, 1, 3])
def test_next_frame_reuses_memory_of_an_evicted_one(place):
    bank = fill_bank(FIFO(1), 4)
    before, addresses = count_memory_bytes(bank), long_addresses(bank)
    bank.evict(place)
    bank.add(draw_memory(4))
    kept = [number for number in range(5) if number != place]
    assert (bank.frames, list_long_frames(bank), list_long_frames(bank, block=1)) == (kept, kept, kept)
    assert (count_memory_bytes(bank), long_addresses(bank)) == (before, addresses)
    long = bank.read()[0][1].long
    np.testing.assert_array_equal(long.value[..., 0], -(long.key[..., 0] - 0.1).round() - 1)


def test_unbounded_bank_grows_rarely_and_by_half():
    bank, sizes = MemoryBank(FIFO(1)), set()
    for number in range(100):
        (bank.add if number else bank.add_reference)(draw_memory(number))
        sizes.add(count_memory_bytes(bank))
        assert count_memory_bytes(bank) <= FRAME_BYTES * (1.5 * len(bank) + 1)
        assert len(list_long_frames(bank)) == number + 1
    assert list_long_frames(bank) == list(range(100))
    assert len(sizes) < 15


@pytest.mark.parametrize("training", [False, True])
def test_bound_of_one_frame_keeps_the_newest_reference(training):
    policy = build_policy(MemoryConfig(policy="bounded_fifo", frames=1, every=1))
    bank = fill_bank(policy, 6, references=(0, 2, 4), training=training)
    assert list_long_frames(bank) == bank.frames == bank.references == [4]
