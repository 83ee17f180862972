"""Short-term memory of several frames: which frames it holds, and that training and tracking read the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.policies import FirstFrame
from aotlab.engine.tracking.tracker import Tracker
from aotlab.engine.training.clip import ClipModule, ClipPlan
from aotlab.networks.model import BlockMemory, KeyValue
from tests.engine.small_model import build, clip, run, stripes
from tests.engine.tracking.test_multiscale import clip_batch

TOKENS = 6


def frame(number, blocks=2):
    """A frame's memory whose keys are its number plus a tenth per block."""
    value = torch.full((2, TOKENS, 8), -number - 1.0)
    keys = (torch.full((2, TOKENS, 4), number + block / 10) for block in range(blocks))
    return [BlockMemory(KeyValue(key, value), KeyValue(key, value)) for key in keys]


def short_term_frames(bank, block=0):
    """Numbers of the frames in short-term memory, in the order of its tokens."""
    short = bank.read()[block].short
    assert torch.equal(short.value[0, ::TOKENS, 0], -(short.key[0, ::TOKENS, 0] - block / 10).round() - 1)
    return [round(float(x) - block / 10) for x in short.key[0, ::TOKENS, 0]]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("skip", [1, 2, 4])
def test_short_term_memory_ends_skip_frames_ago(skip, count):
    bank = MemoryBank(FirstFrame(), skip, count)
    for number in range(9):
        (bank.add if number else bank.add_reference)(frame(number))
        newest = max(number + 1 - skip, 0)
        assert (
            short_term_frames(bank)
            == short_term_frames(bank, block=1)
            == list(range(max(newest - count + 1, 0), newest + 1))
        )


def test_later_reference_clears_short_term_memory():
    bank = MemoryBank(FirstFrame(), 1, 3)
    for number in range(6):
        (bank.add_reference if number in (0, 4) else bank.add)(frame(number))
    assert short_term_frames(bank) == [4, 5]


def test_tracker_reads_configured_short_term_frames():
    model, config = build("aott", "memory.short_term_frames=3")
    seen = []
    model.blocks[0].register_forward_pre_hook(lambda _, given: seen.append(given[2]))
    run(Tracker(model, config, optimize=False), clip(5), {0: stripes([1, 2])})
    tokens = 3 * 4
    assert [read.short.key.shape[1] // tokens for read in seen[1:]] == [1, 2, 3, 3]
    assert {read.long.key.shape[1] for read in seen[1:]} == {tokens}


@torch.inference_mode()
def test_training_clip_equals_tracker():
    model, config = build("aott", "memory.short_term_frames=2")
    model.eval()
    frames, mask = clip(5), stripes([1, 2, 3])
    tracked = np.stack([prediction.labels for prediction in run(Tracker(model, config), frames, {0: mask})])
    plan = ClipPlan(torch.arange(11)[None], hard_pixel_count=mask.size, feed_predictions=True)
    _, losses = ClipModule(model, config.memory)(clip_batch(frames, [mask] * 5, 3), plan, 1.0)
    trained = torch.cat(losses.predictions[1:]).numpy()
    assert len(np.unique(tracked[-1])) >= 2
    # Batched encoding and unused identity planes round differently; a tie may flip a pixel.
    assert (trained == tracked[1:]).mean() > 0.999
    model.blocks[0].register_forward_pre_hook(lambda _, given: (*given[:2], _newest(given[2]), *given[3:]))
    _, other = ClipModule(model, config.memory)(clip_batch(frames, [mask] * 5, 3), plan, 1.0)
    assert not torch.equal(other.tracked, losses.tracked)  # so the second frame tells


def _newest(read):
    """Memory with the newest frame of short-term memory alone."""
    if read is None:
        return None
    return read._replace(short=KeyValue(*(x[:, -read.long.key.shape[1] :] for x in read.short)))
