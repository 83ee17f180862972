"""The runtime's memory compared with the framework's: the same frames are stored."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch

from aotlab.configs.schema import Config, MemoryConfig
from aotlab.engine.export.export import resolve_export_config
from aotlab.engine.memory.bank import build_bank
from aotlab.engine.memory.relevance import FrameRelevance
from aotlab.networks.model import BlockMemory, KeyValue
from aotlab_runtime.group import Group, score_frames
from tests.marks import slow


def build_memory(config, length=None):
    return Group(asdict(resolve_export_config(Config(memory=config)).memory), length)


@pytest.mark.parametrize(
    "settings",
    [
        {"policy": "bounded_fifo", "frames": 4, "every": 2},
        {"policy": "bounded_fifo", "frames": 3, "newest": 0},
        {"policy": "first_frame", "frames": 5},
        {"policy": "bounded_fifo", "frames": 5, "every": 1, "newest": 2, "short_term_skip": 3},
        {"policy": "restricted", "frames": 4, "every": 2},
        {"policy": "restricted", "frames": 3, "every": 1, "score_early": True},
        {"policy": "restricted", "frames": 2, "insertions": 10},
        {"policy": "restricted", "frames": 9, "every": 1},
        {"policy": "restricted", "frames": 9, "every": 1, "score_early": True},
    ],
)
@pytest.mark.parametrize("seed", [0, *slow(1, 2)])
@pytest.mark.parametrize("references", [(0, 7, 30), (0, 7, 8, 9, 30)])
def test_stored_frames_equal_framework(settings, references, seed):
    config, random = MemoryConfig(**settings), np.random.default_rng(seed)
    memory, bank = build_memory(config, 60), build_bank(config, length=60)
    for index in range(150):
        value = torch.full((1, 2, 3), float(index))
        stored = [BlockMemory(KeyValue(value, value), KeyValue(value, value))]
        names = ("memory_0_long_key", "memory_0_long_value", "memory_0_short_key", "memory_0_short_value")
        tensors = dict.fromkeys(names, value.numpy())
        if index in references:
            bank.add_reference(stored)
            memory.add_reference(tensors)
        else:
            relevance = random.dirichlet(np.full(len(bank), 3.0)) * (index % 5 > 0)
            frame_relevance = FrameRelevance(torch.from_numpy(relevance), torch.zeros(len(bank), 2, 3))
            assert memory.needs_relevance == bank.needs_relevance
            memory.add(tensors, relevance if memory.needs_relevance else None)
            bank.add(stored, frame_relevance if bank.needs_relevance else None)
        state, memory = memory.state_dict(), build_memory(config, 60)
        memory.load_state_dict(state)
        assert memory.long["is_reference"].tolist() == [frame in bank.references for frame in bank.frames]
        (block,), read = bank.read(), memory.read()
        assert np.array_equal(read["memory_0_long_key"], block.long.key.numpy())
        assert np.array_equal(read["memory_0_short_value"], block.short.value.numpy())


def test_scores_equal_those_by_hand():
    # n = (3, 3, 2), ln 8 = 2.0794: 0.5 + 1.5·√(2.0794 / 11), 0.3 + 1.5·√(2.0794 / 11), 0.28 + 1.5·√(2.0794 / 10)
    scores = score_frames(np.array([0.5, 0.3, 0.28]), np.array([7, 3, 2]))
    np.testing.assert_allclose(scores, [1.1522, 0.9522, 0.9640], atol=1e-4)


def test_restricted_memory_evicts_the_lowest_score():
    memory = build_memory(MemoryConfig(policy="restricted", frames=3, every=1))
    stored = []
    for index, relevance in enumerate(
        [
            None,  # the reference frame
            None,
            None,
            [0.5, 0.2, 0.3],  # equal n: frame 1 has the lowest relevance
            [0.5, 0.1, 0.4],  # R of frame 2 is 0.8·0.1 + 0.2·0.3 = 0.14
            [0.445, 0.275, 0.28],  # R of frame 3 is 0.8·0.275 + 0.2·0.4 = 0.30, n = 3; of frame 4 0.28, n = 2
            [0, 0, 0],  # no object: the oldest
        ]
    ):
        frame = dict.fromkeys(("memory_0_long_key", "memory_0_short_key"), np.full((1, 1, 1), index))
        if index:
            memory.add(frame, None if relevance is None else np.array(relevance))
        else:
            memory.add_reference(frame)
        stored.append(memory.read()["memory_0_long_key"].ravel().tolist())
    assert stored[2:] == [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5], [0, 5, 6]]
