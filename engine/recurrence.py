"""Recurrence over frames, the same in training and tracking: segment a frame, store its memory."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.relevance import compute_relevance
from aotlab.networks.model import Features, Memory, PropagatedFrame, VOSModel


class DecodedFrame(NamedTuple):
    """A frame after propagation, with its logits."""

    propagated: PropagatedFrame
    logits: Tensor
    """B×(M+1)×h×w, float32."""


def segment_frame(model: VOSModel, bank: MemoryBank, features: Features, *, short_term: bool = True) -> DecodedFrame:
    """Read a bank, propagate its memory to a frame, and decode the logits.

    Args:
        features: features of the frame, shared by all banks.
        short_term: False reads zeros instead of short-term memory, as after a cut.
    """
    propagated = model.propagate(features, bank.read(short_term=short_term))
    return DecodedFrame(propagated, model.decode(propagated, features).float())


def store_memory(model: VOSModel, bank: MemoryBank, decoded: DecodedFrame, memory: Memory) -> None:
    """Add a tracked frame to a bank, with its memory by `VOSModel.memorize`; if this fails, discard the bank."""
    relevance = None
    if bank.needs_relevance:
        relevance = compute_relevance(model, decoded.propagated, decoded.logits, bank.keys, len(bank))
    bank.add(memory, relevance)
