"""Frames that memory policies keep, with invented relevance."""

import math

import numpy as np
import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.configs.plugins import load_plugins
from aotlab.configs.schema import MemoryConfig
from aotlab.engine.memory.policies import ERMU, FIFO, RMem, build_policy, compute_redundancy
from aotlab.engine.memory.relevance import FrameRelevance
from aotlab_testing.frames import FRAME_BYTES, TOKENS, count_memory_bytes, fill_bank, list_long_frames

BOUNDED = {"bounded_fifo": FIFO, "rmem": RMem, "ermu": ERMU}


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


@pytest.mark.parametrize("policy", BOUNDED)
@pytest.mark.parametrize("frames", [2, 4, 9])
def test_bounded_bank_keeps_size_and_reference(policy, frames):
    relevance = fake_relevance(np.random.default_rng(0).random(20).tolist())
    for number in range(20):
        bank = fill_bank(BOUNDED[policy](1, frames), number + 1, relevance=relevance)
        assert len(bank) == min(number + 1, frames)
        assert bank.frames == list_long_frames(bank) == sorted(bank.frames)
        assert (bank.frames[0], bank.frames[-1]) == (0, number)


LIMITED = {"every": 5, "every_in_training": 4, "frames": 9, "max_stored": 30}


@pytest.mark.parametrize(("config", "options", "policy"), [
    (MemoryConfig(policy="every_nth", every=7, every_in_training=3), {}, FIFO(7)),
    (MemoryConfig(policy="every_nth", every=7, every_in_training=3), {"training": True}, FIFO(3)),
    (MemoryConfig(policy="first_frame"), {"training": True}, FIFO(math.inf)),
    *((MemoryConfig(policy=name, **LIMITED), {}, kind(5, 9)) for name, kind in BOUNDED.items()),
    *((MemoryConfig(policy=name, **LIMITED), {"training": True, "length": 3000}, FIFO(4, 9)) for name in BOUNDED),
    *((load_config("r50_aotl_rmem").memory, {"length": length}, RMem(every, 9))
      for length, every in ((None, 5), (164, 5), (165, 6), (195, 6), (3000, 100))),
])  # fmt: skip
def test_settings_name_the_policy(config, options, policy):
    assert build_policy(config, **options) == policy


def test_fifo_evicts_oldest_frame():
    assert fill_bank(FIFO(1, 4), 8).frames == [0, 5, 6, 7]
    assert fill_bank(FIFO(2, 4), 8).frames == [0, 2, 4, 6]
    assert fill_bank(FIFO(2, 4), 9).frames == [0, 4, 6, 8]


def test_newest_frames_are_kept_beside_references():
    policy = build_policy(MemoryConfig(policy="bounded_fifo", frames=4, max_tracked=1, every=2))
    assert fill_bank(policy, 9).frames == [0, 8]
    assert fill_bank(policy, 9, references=(0, 3, 4)).frames == [0, 3, 4, 8]
    assert fill_bank(policy, 9, references=(0, 3, 6, 7)).frames == [0, 3, 6, 7]
    assert fill_bank(FIFO(1, 9, 3), 9, references=(0, 4)).frames == [0, 4, 6, 7, 8]


def test_redundant_frame_is_evicted():
    shares = torch.full((4,), 0.25)
    keys = torch.eye(4)[:, None].repeat(1, TOKENS, 1)
    keys[2] = keys[3]
    assert ERMU(1, 4).decide(range(4), range(1, 4), 4, FrameRelevance(shares, keys)) == (True, 2)
    assert compute_redundancy(keys).tolist() == [0, 0, 0.5, 0.5]
    assert compute_redundancy(keys[:1]).tolist() == [0]
    keys = torch.zeros(4, 4, 2)  # the first two frames resemble each other half as much as the last two
    keys[:2, :, 0] = keys[2:, :, 1] = 1
    keys[1, 1:] = 0
    assert compute_redundancy(keys).tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 3, 1 / 3], abs=1e-4)


def test_nearly_equal_redundancy_evicts_oldest_frame():
    angles = torch.tensor([0.0, 1.00001, 1.0])
    keys = torch.stack([angles.cos(), angles.sin()], 1)[..., None]
    assert ERMU(1, 3).decide(range(3), (1, 2), 3, FrameRelevance(torch.full((3,), 0.25), keys)) == (True, 1)


def test_score_of_ermu_equals_the_published_formula():
    keys = torch.tensor([[1.0, 0], [0, 1], [0, 1]])[:, None]  # 4·R + 1 / (1 + exp(10·(redundancy - 0.4)))
    found = ERMU(1, 3).score(np.array([0.25, 0.25, 0]), [1, 1, 1], keys)
    assert found == pytest.approx([1.98201, 1.26894, 0.26894], abs=1e-5)


@pytest.mark.parametrize(("policy", "expected"), [
    (FIFO(2, 4), []), (RMem(2, 4), [4, 4]), (RMem(2, 4, score_early=True), [1, 2, 3, 4, 4]),
])  # fmt: skip
def test_relevance_is_computed_on_eviction_or_from_start(policy, expected):
    counted = []
    fill_bank(policy, 12, relevance=fake_relevance([1.0] * 12, counted))
    assert counted == expected


@pytest.mark.parametrize("policy", ["rmem", "ermu"])
def test_no_foreground_evicts_oldest_frame(policy):
    scored = BOUNDED[policy](1, 3)
    scored.load_state_dict({"running": {1: 1.0}, "updates": {}})
    assert fill_bank(scored, 6, relevance=fake_relevance([0.0] * 6)).frames == [0, 4, 5]
    assert all(np.isfinite(list(scored.running.values())))


def test_no_foreground_is_equal_relevance_of_all_frames():
    policy = RMem(1, 9)
    policy.decide([0, 1, 2, 3], [1, 2, 3], 4, FrameRelevance(torch.zeros(4), torch.zeros(4, 1, 1)))
    assert policy.running == dict.fromkeys(range(4), 0.25)


@pytest.mark.parametrize("policy", BOUNDED)
def test_tracked_frames_are_evicted_before_later_references(policy):
    shares = fake_relevance([1.0] * 20)
    assert fill_bank(BOUNDED[policy](1, 4), 9, relevance=shares, references=(0, 3)).frames[:2] == [0, 3]
    bank = fill_bank(BOUNDED[policy](1, 4), 12, relevance=shares, references=(0, 3, 4, 5))
    assert bank.frames == [0, 3, 4, 5]
    bank = fill_bank(BOUNDED[policy](1, 4), 12, relevance=shares, references=(0, 3, 4, 5, 6))
    assert bank.frames == [0, 4, 5, 6]
    assert list_long_frames(bank) == bank.frames


@pytest.mark.parametrize(("policy", "frames"), [(FIFO(1, 9, max_tracked=1), 2), (FIFO(1, 3), 3)])
def test_only_frames_that_are_kept_are_allocated(policy, frames):
    bank = fill_bank(policy, 12)
    assert len(bank) == frames
    assert count_memory_bytes(bank) == frames * FRAME_BYTES


def test_policy_of_a_plugin_is_used(tmp_path, unload):
    (tmp_path / "mine.py").write_text("""
from aotlab.engine.memory.policies import FIFO
memory_policies = {
    "recent": lambda memory: FIFO(memory.every, memory.frames, max_tracked=2), "all": lambda memory: FIFO(memory.every)
}
""")
    load_plugins([tmp_path / "mine.py"])
    bounded, unbounded = MemoryConfig(policy="recent", **LIMITED), MemoryConfig(policy="all", **LIMITED)
    assert build_policy(bounded) == FIFO(5, 9, 2)
    assert build_policy(bounded, length=3000) == FIFO(100, 9, 2)
    assert build_policy(bounded, training=True) == FIFO(4, 9)
    assert build_policy(unbounded, training=True) == FIFO(4)
    assert (bounded.is_bounded, unbounded.is_bounded) == (True, False)
