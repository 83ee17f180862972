"""Single steps of the recurrence with one bank and masks of the test's own."""

from __future__ import annotations

from torch import Tensor

from aotlab.engine.memory import MemoryBank
from aotlab.engine.recurrence import look, refer, remember
from aotlab.networks.model import Model
from aotlab.networks.vos_model import Features, Propagated


def begin(model: Model, bank: MemoryBank, features: Features, masks: Tensor) -> Propagated:
    """Store a reference frame with masks B×(m+1)×H×W."""
    seen = refer(model, [bank], features, [masks])
    remember(model, [bank], seen)
    return seen[0].propagated


def advance(model: Model, bank: MemoryBank, features: Features, masks: Tensor) -> Tensor:
    """Store a frame with masks B×(m+1)×H×W, and return its logits."""
    seen = look(model, [bank], features)
    remember(model, [bank], seen, [masks])
    return seen[0].logits
