"""What memory policies keep, with invented relevance."""

import numpy as np
import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.configs.schema import MemoryConfig
from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.policies import ERMU, FIFO, RMem, build_policy, compute_redundancy
from aotlab.engine.memory.relevance import FrameRelevance
from aotlab.networks.model import BlockMemory, KeyValue
from tests.engine.frames import memory_bytes

TOKENS, DIM = 6, 4
BOUNDED = {"bounded_fifo": FIFO, "restricted": RMem, "relevance_redundancy": ERMU}


def frame(number):
    kv = KeyValue(torch.full((1, TOKENS, DIM), float(number)), torch.full((1, TOKENS, 8), -1.0 - number))
    return [BlockMemory(kv, kv)]


def fake_relevance(shares, counted=None):
    """Shows relevance by frame number; keys are all unlike each other."""

    def relevance(bank):
        if not bank.needs_relevance:
            return None
        if counted is not None:
            counted.append(len(bank))
        keys = torch.eye(len(bank))[:, None].expand(-1, TOKENS, -1)
        return FrameRelevance(torch.tensor([shares[number] for number in bank.frames]), keys)

    return relevance


def filled(policy, frames, relevance=None, references=(0,)):
    bank = MemoryBank(policy)
    with torch.no_grad():
        for number in range(frames):
            if number in references:
                bank.add_reference(frame(number))
            else:
                bank.add(frame(number), relevance and relevance(bank))
    return bank


def stored(bank):
    return bank.read()[0].long.key[0, ::TOKENS, 0].tolist()


@pytest.mark.parametrize("policy", BOUNDED)
@pytest.mark.parametrize("frames", [2, 4, 9])
def test_bounded_bank_keeps_size_and_reference(policy, frames):
    share = np.random.default_rng(0).random(40).tolist()
    bank = MemoryBank(BOUNDED[policy](1, frames))
    with torch.no_grad():
        for number in range(40):
            bank.add(frame(number), fake_relevance(share)(bank)) if number else bank.add_reference(
                frame(number)
            )
            assert len(bank) == min(number + 1, frames)
            assert bank.frames[0] == 0
            assert bank.frames == sorted(bank.frames)
            assert stored(bank) == bank.frames
            assert bank.frames[-1] == number


@pytest.mark.parametrize("policy", BOUNDED)
def test_bank_of_one_frame_keeps_reference(policy):
    assert filled(BOUNDED[policy](2, 1), 9, fake_relevance([1.0] * 9)).frames == [0]


def test_fifo_evicts_oldest_frame():
    assert filled(FIFO(1, 4), 8).frames == [0, 5, 6, 7]
    assert filled(FIFO(2, 4), 8).frames == [0, 2, 4, 6]
    assert filled(FIFO(2, 4), 9).frames == [0, 4, 6, 8]


def test_newest_frames_are_kept_beside_references():
    policy = build_policy(MemoryConfig(policy="bounded_fifo", frames=4, newest=1, every=2))
    assert filled(policy, 9).frames == [0, 8]
    assert filled(policy, 9, references=(0, 3, 4)).frames == [0, 3, 4, 8]
    assert filled(policy, 9, references=(0, 3, 6, 7)).frames == [0, 3, 6, 7]
    assert filled(FIFO(1, 9, 3), 9, references=(0, 4)).frames == [0, 4, 6, 7, 8]


def test_least_relevant_frame_is_evicted_except_newest():
    shares = [0.1, 0.9, 0.0, 0.8, 0.7, 0.0, 0.6, 0.5]
    for policy in (RMem(1, 4), ERMU(1, 4)):
        assert filled(policy, 5, fake_relevance(shares)).frames == [0, 1, 3, 4]
        assert filled(policy, 6, fake_relevance(shares)).frames[-1] == 5


def test_redundant_frame_is_evicted():
    shares = torch.full((4,), 0.25)
    keys = torch.eye(4)[:, None].repeat(1, TOKENS, 1)
    keys[2] = keys[3]
    bank = filled(FIFO(1), 4)
    bank.last_index += 1
    assert ERMU(1, 4).decide(bank, FrameRelevance(shares, keys)) == (True, 2)
    assert compute_redundancy(keys).tolist() == [0, 0, 0.5, 0.5]
    assert compute_redundancy(keys[:1]).tolist() == [0]


@pytest.mark.parametrize("early", [False, True])
def test_relevance_is_computed_on_eviction_or_from_start(early):
    counted = []
    filled(RMem(2, 4, early), 12, fake_relevance([1.0] * 12, counted))
    assert counted == ([1, 2, 3, 4, 4] if early else [4, 4])


@pytest.mark.parametrize("policy", ["restricted", "relevance_redundancy"])
def test_no_foreground_evicts_oldest_frame(policy):
    chooser = BOUNDED[policy](1, 3)
    assert filled(chooser, 6, fake_relevance([0.0] * 6)).frames == [0, 4, 5]
    assert all(np.isfinite(list(chooser.running.values())))


@pytest.mark.parametrize("policy", BOUNDED)
def test_tracked_frames_are_evicted_before_later_references(policy):
    shares = fake_relevance([1.0] * 20)
    assert filled(BOUNDED[policy](1, 4), 9, shares, references=(0, 3)).frames[:2] == [0, 3]
    bank = filled(BOUNDED[policy](1, 4), 12, shares, references=(0, 3, 4, 5))
    assert bank.frames == [0, 3, 4, 5]
    bank = filled(BOUNDED[policy](1, 4), 12, shares, references=(0, 3, 4, 5, 6))
    assert bank.frames == [0, 4, 5, 6]
    assert stored(bank) == bank.frames


@pytest.mark.parametrize(
    ("length", "every"), [(None, 5), (100, 5), (164, 5), (165, 6), (195, 6), (3000, 100)]
)
def test_long_video_stores_fewer_frames(length, every):
    assert build_policy(load_config("r50_aotl_rmem").memory, length=length).every == every


@pytest.mark.parametrize("policy", BOUNDED)
def test_training_evicts_oldest_frame(policy):
    config = MemoryConfig(policy, every=5, every_in_training=4, frames=9, insertions=30)
    assert build_policy(config, training=True, length=3000) == FIFO(4, 9)
    bank = MemoryBank(build_policy(config, training=True), training=True)
    sizes = []
    for number in range(16):  # the last of 17 frames is not remembered
        (bank.add if number else bank.add_reference)(frame(number))
        sizes.append(len(bank))
    assert bank.frames == [0, 4, 8, 12]
    assert max(sizes) == 4


@pytest.mark.parametrize(("policy", "frames"), [(FIFO(1, 9, max_tracked=1), 2), (FIFO(1, 3), 3)])
def test_only_frames_that_are_kept_are_allocated(policy, frames):
    bank = filled(policy, 12)
    assert len(bank) == frames
    assert memory_bytes(bank) == frames * TOKENS * (DIM + 8) * 4
