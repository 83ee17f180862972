"""Single steps of the recurrence with one bank and masks of the test's own."""

from __future__ import annotations

from torch import Tensor

from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.recurrence import propagate_reference, read_memory, write_memory
from aotlab.networks.model import Features, PropagatedFrame, VOSModel


def begin(model: VOSModel, bank: MemoryBank, features: Features, masks: Tensor) -> PropagatedFrame:
    """Store a reference frame with masks B×(m+1)×H×W."""
    frames = propagate_reference(model, [bank], features, [masks])
    write_memory(model, [bank], frames)
    return frames[0].propagated


def advance(model: VOSModel, bank: MemoryBank, features: Features, masks: Tensor) -> Tensor:
    """Store a frame with masks B×(m+1)×H×W, and return its logits."""
    readouts = read_memory(model, [bank], features)
    write_memory(model, [bank], readouts, [masks])
    return readouts[0].logits
