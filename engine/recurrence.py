"""Recurrence over frames, the same in training and tracking: read a bank, then write to it."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from torch import Tensor

from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.relevance import compute_relevance
from aotlab.networks.model import Features, Memory, PropagatedFrame, VOSModel


class DecodedFrame(NamedTuple):
    """A frame after a bank's memory was propagated to it."""

    propagated: PropagatedFrame
    logits: Tensor
    """B×(M+1)×h×w, float32"""


def read_memory(
    model: VOSModel, bank: MemoryBank, features: Features, *, short_term: bool = True
) -> DecodedFrame:
    """Propagate a bank's memory to a frame and decode.

    Args:
        features: features of the frame, shared by all banks.
        short_term: False reads zeros in place of short-term memory, as after a cut.
    """
    propagated = model.propagate(features, bank.read(short_term=short_term))
    return DecodedFrame(propagated, model.decode(propagated, features).float())


def read_reference(model: VOSModel, features: Features, masks: Tensor) -> tuple[PropagatedFrame, Memory]:
    """Return a reference frame, which attends to its own identities, and its memory, for `MemoryBank.add_reference`.

    ``masks``: B×(m+1)×H×W, background first, m at most the model's number of identities.
    """
    id_embeddings = model.assign_identities(masks)
    propagated = model.propagate(features, id_embeddings=id_embeddings)
    return propagated, model.memorize(propagated, id_embeddings)


def compute_memory(model: VOSModel, decoded: DecodedFrame, masks: Tensor) -> Memory:
    """Return the memory of a tracked frame with masks B×(m+1)×H×W, for `write_memory`."""
    return model.memorize(decoded.propagated, model.assign_identities(masks))


def write_memory(model: VOSModel, bank: MemoryBank, decoded: DecodedFrame, memory: Memory) -> None:
    """Add the memory of a tracked frame to a bank; if this fails, the bank must be discarded."""
    relevance = partial(compute_relevance, model, decoded.propagated, decoded.logits)
    bank.add(memory, relevance)
