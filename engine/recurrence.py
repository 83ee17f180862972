"""Recurrence over frames, the same in training and tracking: segment a frame, encode its memory, store it."""

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
    """B×(M+1)×h×w, float32"""


def segment_frame(
    model: VOSModel, bank: MemoryBank, features: Features, *, short_term: bool = True
) -> DecodedFrame:
    """Read a bank, propagate its memory to a frame, and decode the logits.

    Args:
        features: features of the frame, shared by all banks.
        short_term: False reads zeros instead of short-term memory, as after a cut.
    """
    propagated = model.propagate(features, bank.read(short_term=short_term))
    return DecodedFrame(propagated, model.decode(propagated, features).float())


def encode_reference(model: VOSModel, features: Features, masks: Tensor) -> tuple[PropagatedFrame, Memory]:
    """Propagate a reference frame's own identities, by attention to itself, and encode its memory.

    ``masks``: B×(m+1)×H×W, background first, m at most the model's number of identities. `MemoryBank.add_reference`
    stores the memory.
    """
    id_embeddings = model.assign_identities(masks)
    propagated = model.propagate_reference(features, id_embeddings)
    return propagated, model.memorize(propagated, id_embeddings)


def encode_memory(model: VOSModel, decoded: DecodedFrame, masks: Tensor) -> Memory:
    """Encode the memory of a tracked frame with masks B×(m+1)×H×W: assign identities, and memorize them."""
    return model.memorize(decoded.propagated, model.assign_identities(masks))


def store_memory(model: VOSModel, bank: MemoryBank, decoded: DecodedFrame, memory: Memory) -> None:
    """Add the memory of a tracked frame to a bank; if this fails, the bank must be discarded."""
    relevance = None
    if bank.needs_relevance:
        relevance = compute_relevance(model, decoded.propagated, decoded.logits, bank.keys, len(bank))
    bank.add(memory, relevance)
