"""The runtime's memory compared with the framework's: the same frames are stored."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch

from aotlab.configs.protocol import bound_memory
from aotlab.configs.schema import MemoryConfig
from aotlab.engine.memory.bank import build_bank
from aotlab.engine.memory.relevance import FrameRelevance
from aotlab.networks.model import BlockMemory, KeyValue
from aotlab_runtime.memory import Memory


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
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("references", [(0, 7, 30), (0, 7, 8, 9, 30)])
def test_stored_frames_equal_framework(settings, references, seed):
    config, random = MemoryConfig(**settings), np.random.default_rng(seed)
    memory, bank = Memory(asdict(bound_memory(config)), 60), build_bank(config, length=60)
    for index in range(150):
        value = torch.full((1, 2, 3), float(index))
        stored = [BlockMemory(KeyValue(value, value), KeyValue(value, value))]
        names = ("memory_0_long_key", "memory_0_long_value", "memory_0_short_key", "memory_0_short_value")
        tensors = dict.fromkeys(names, value.numpy())
        if index in references:
            bank.add_reference(stored)
            memory.add_reference(tensors)
        else:
            shares = random.dirichlet(np.full(len(bank), 3.0)) * (index % 5 > 0)
            relevance = FrameRelevance(torch.from_numpy(shares), torch.zeros(len(bank), 2, 3))
            assert memory.needs_relevance == bank.needs_relevance
            bank.add(stored, relevance if bank.needs_relevance else None)
            memory.add(tensors, shares if memory.needs_relevance else None)
        state, memory = memory.state_dict(), Memory(asdict(bound_memory(config)), 60)
        memory.load_state_dict(state)
        assert memory.frames["index"].tolist() == bank.frames
        assert memory.frames["index"][memory.frames["reference"]].tolist() == bank.references
        (block,), read = bank.read(), memory.read()
        assert np.array_equal(read["memory_0_long_key"], block.long.key.numpy())
        assert np.array_equal(read["memory_0_short_value"], block.short.value.numpy())
