"""Single steps of the recurrence, and memory banks whose frames contain their number."""

from itertools import chain

import torch
from torch import Tensor

from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.recurrence import memorize_frame, memorize_reference, segment_frame
from aotlab.networks.model import BlockMemory, Features, KeyValue, PropagatedFrame, VOSModel

TOKENS, DIM, VALUE_DIM, BATCH = 6, 4, 8, 2
"""Sizes of the memory of a numbered frame."""
FRAME_BYTES = 2 * BATCH * TOKENS * (DIM + VALUE_DIM) * 4
"""Bytes of the memory of a numbered frame in two blocks."""


def add_reference_frame(model: VOSModel, bank: MemoryBank, features: Features, masks: Tensor) -> PropagatedFrame:
    """Store a reference frame with masks B×(m+1)×H×W."""
    memory, propagated = memorize_reference(model, features, masks)
    bank.add_reference(memory)
    return propagated


def propagate_frame(model: VOSModel, bank: MemoryBank, features: Features, masks: Tensor) -> Tensor:
    """Store a frame with masks B×(m+1)×H×W, and return its logits."""
    decoded = segment_frame(model, bank, features)
    bank.add(*memorize_frame(model, bank, decoded, masks))
    return decoded.logits


def count_memory_bytes(bank: MemoryBank) -> int:
    """Return the bytes of long-term memory, with those reserved for further frames."""
    return sum(x.untyped_storage().nbytes() for block in chain(*bank.read()) for x in block.long)


def draw_memory(number, blocks=2):
    """Return the memory of a frame in one stage, in which every key is the frame's number plus a tenth per block."""
    value = torch.full((BATCH, TOKENS, VALUE_DIM), -number - 1.0)
    keys = (torch.full((BATCH, TOKENS, DIM), number + block / 10) for block in range(blocks))
    return [[BlockMemory(KeyValue(key, value), KeyValue(key, value)) for key in keys]]


def fill_bank(policy, frames, skip=1, references=(0,), training=False, short_term_frames=1, relevance=None):
    """Return a bank with some numbered frames; ``relevance`` returns the relevance of the frames of a bank."""
    bank = MemoryBank(policy, skip, short_term_frames, training=training)
    for number in range(frames):
        if number in references:
            bank.add_reference(draw_memory(number))
        else:
            bank.add(draw_memory(number), relevance and relevance(bank))
    return bank


def list_long_frames(bank, block=0):
    """Return the frame numbers in long-term memory."""
    key = bank.read()[0][block].long.key
    return [round(float(x) - block / 10) for x in key[0, ::TOKENS, 0]]
