"""The runtime's memory compared with the framework's: the same frames are stored."""

from dataclasses import asdict
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from aotlab.configs.schema import Config, MemoryConfig
from aotlab.engine.export.export import describe_memory, resolve_export_config
from aotlab.engine.memory.bank import build_bank
from aotlab.engine.memory.relevance import FrameRelevance
from aotlab.networks.model import BlockMemory, KeyValue
from aotlab_runtime.memory import MemoryBank, StoredFrame, score_frames
from aotlab_runtime.state import pack_state, unpack_state
from tests.marks import slow


def build_memory(config, length=None):
    return MemoryBank(describe_memory(resolve_export_config(Config(memory=config)).memory), length)


@pytest.mark.parametrize("settings", [
    {"policy": "bounded_fifo", "frames": 4, "every": 2},
    {"policy": "bounded_fifo", "frames": 3, "newest": 0},
    {"policy": "first_frame", "frames": 5},
    {"policy": "bounded_fifo", "frames": 5, "every": 1, "newest": 2, "short_term_skip": 3},
    {"policy": "restricted", "frames": 4, "every": 2},
    {"policy": "restricted", "frames": 3, "every": 1, "score_early": True},
    {"policy": "restricted", "frames": 2, "insertions": 10},
    {"policy": "restricted", "frames": 9, "every": 1},
    {"policy": "restricted", "frames": 9, "every": 1, "score_early": True},
])  # fmt: skip
@pytest.mark.parametrize("seed", [0, *slow(1, 2)])
@pytest.mark.parametrize("references", [(0, 7, 30), (0, 7, 8, 9, 30)])
def test_stored_frames_equal_framework(settings, references, seed):
    config, random = MemoryConfig(**settings), np.random.default_rng(seed)
    memory, bank = build_memory(config, 60), build_bank(config, length=60)
    for index in range(150):
        value = torch.full((1, 2, 3), float(index))
        stored = [BlockMemory(KeyValue(value, value), KeyValue(value, value))]
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
            compute_relevance = Mock(return_value=relevance)
            memory.add(long, short, compute_relevance)
            assert compute_relevance.called == bank.needs_relevance
            for (read,), _ in compute_relevance.call_args_list:  # memory before the frame is added
                assert np.array_equal(read["memory_0_long_key"], bank.read()[0].long.key.numpy())
                assert np.array_equal(read["memory_0_short_key"], bank.read()[0].short.key.numpy())
            bank.add(stored, frame_relevance if bank.needs_relevance else None)
        state = pack_state({"export": "", "bank": asdict(memory)})
        memory = MemoryBank.from_state(unpack_state(state, "")["bank"])
        are_references = [frame in bank.references for frame in bank.frames]
        assert [frame.is_reference for frame in memory.long] == are_references
        (block,), read = bank.read(), memory.read()
        assert np.array_equal(read["memory_0_long_key"], block.long.key.numpy())
        assert np.array_equal(read["memory_0_short_value"], block.short.value.numpy())


def test_scores_equal_those_by_hand():
    # n = (3, 3, 2), ln 8 = 2.0794: 0.5 + 1.5·√(2.0794 / 11), 0.3 + 1.5·√(2.0794 / 11), 0.28 + 1.5·√(2.0794 / 10)
    frames = [
        StoredFrame({}, relevance=relevance, updates=updates) for relevance, updates in ((0.5, 7), (0.3, 3), (0.28, 2))
    ]
    np.testing.assert_allclose(score_frames(frames), [1.1522, 0.9522, 0.9640], atol=1e-4)


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
        value = np.full((1, 1, 1), index)
        frame = {"memory_0_long_key": value}, {"memory_0_short_key": value}
        if index:
            memory.add(*frame, Mock(return_value=np.array(relevance)))
        else:
            memory.add_reference(*frame)
        stored.append(memory.read()["memory_0_long_key"].ravel().tolist())
    assert stored[2:] == [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5], [0, 5, 6]]
