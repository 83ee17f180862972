"""The runtime's memory compared with the framework's: the same frames are stored."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from aotlab.configs.schema import Config, MemoryConfig
from aotlab.engine.memory.bank import build_bank
from aotlab.engine.memory.relevance import FrameRelevance
from aotlab.export.export import describe_memory, resolve_export_config
from aotlab.networks.model import BlockMemory, KeyValue
from aotlab_runtime.files import pack_state, unpack_state
from aotlab_runtime.memory import MemoryBank
from aotlab_testing.marks import slow


def build_memory(config, length=None):
    return MemoryBank(describe_memory(resolve_export_config(Config(memory=config)).memory), length)


@pytest.mark.parametrize("settings", [
    {"policy": "bounded_fifo", "frames": 4, "every": 2},
    {"policy": "bounded_fifo", "frames": 3, "max_tracked": 0},
    {"policy": "first_frame", "frames": 5},
    {"policy": "bounded_fifo", "frames": 5, "every": 1, "max_tracked": 2, "short_term_lag": 3},
    {"policy": "rmem", "frames": 4, "every": 2},
    {"policy": "rmem", "frames": 3, "every": 1, "score_early": True},
    {"policy": "rmem", "frames": 2, "max_stored": 10},
    {"policy": "rmem", "frames": 9, "every": 1},
    {"policy": "rmem", "frames": 9, "every": 1, "score_early": True},
])  # fmt: skip
@pytest.mark.parametrize("seed", [0, *slow(1, 2)])
@pytest.mark.parametrize("references", [(0, 7, 30), (0, 7, 8, 9, 30)])
def test_stored_frames_equal_framework(settings, references, seed):
    config, random = MemoryConfig(**settings), np.random.default_rng(seed)
    memory, bank = build_memory(config, 60), build_bank(config, length=60)
    for index in range(150):
        value = torch.full((1, 2, 3), float(index))
        stored = [[BlockMemory(KeyValue(value, value), KeyValue(value, value))]]
        long, short = (
            dict.fromkeys((f"memory_0_{term}_key", f"memory_0_{term}_value"), value.numpy())
            for term in ("long", "short")
        )
        if index in references:
            bank.add_reference(stored)
            memory.add_reference(long, short)
        else:
            relevance = random.dirichlet(np.full(len(bank), 3.0)) * (index % 5 > 0)
            frame_relevance = FrameRelevance(torch.from_numpy(relevance), torch.zeros(len(bank), 2, 3))
            assert memory.needs_relevance == bank.needs_relevance
            memory.add(long, short, relevance if memory.needs_relevance else None)
            bank.add(stored, frame_relevance if bank.needs_relevance else None)
        state = pack_state({"export": "", "bank": asdict(memory)})
        memory = MemoryBank.from_state(unpack_state(state, "")["bank"])
        are_references = [frame in bank.references for frame in bank.frames]
        assert [frame.is_reference for frame in memory.long] == are_references
        ((block,),), read = bank.read(), memory.read()
        np.testing.assert_array_equal(read["memory_0_long_key"], block.long.key)
        np.testing.assert_array_equal(read["memory_0_short_value"], block.short.value)
        np.testing.assert_array_equal(read["memory_ages"], block.ages)
