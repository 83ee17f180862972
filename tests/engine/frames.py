"""Single steps of the recurrence with one bank and masks of the test's own."""

from __future__ import annotations

from torch import Tensor

from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.recurrence import compute_memory, read_memory, read_reference, write_memory
from aotlab.networks.model import Features, PropagatedFrame, VOSModel


def begin(model: VOSModel, bank: MemoryBank, features: Features, masks: Tensor) -> PropagatedFrame:
    """Store a reference frame with masks B×(m+1)×H×W."""
    propagated, memory = read_reference(model, features, masks)
    bank.add_reference(memory)
    return propagated


def advance(model: VOSModel, bank: MemoryBank, features: Features, masks: Tensor) -> Tensor:
    """Store a frame with masks B×(m+1)×H×W, and return its logits."""
    decoded = read_memory(model, bank, features)
    write_memory(model, bank, decoded, compute_memory(model, decoded, masks))
    return decoded.logits
