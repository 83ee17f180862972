"""Recurrence over frames, the same in training and tracking: `read_memory`, then `write_memory`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.relevance import compute_relevance
from aotlab.networks.model import Features, Memory, Model, PropagatedFrame


class FrameReadout(NamedTuple):
    """A frame after one bank's memory was propagated to it."""

    propagated: PropagatedFrame
    logits: Tensor
    """B×(M+1)×h×w"""
    after_cut: bool = False
    """whether short-term memory was not read, and ends before this frame"""


class ReferenceFrame(NamedTuple):
    """A reference frame after its own identities were propagated, for one bank."""

    propagated: PropagatedFrame
    identities: Sequence[Tensor]
    """result of `assign_identities` for the masks"""


def read_memory(
    model: Model, banks: Sequence[MemoryBank], features: Features, *, after_cut: bool = False
) -> list[FrameReadout]:
    """Read every bank, propagate its memory to a frame and decode; nothing changes.

    Args:
        banks: one per set of groups with the same first frame; each runs as one batch.
        features: features of the frame, shared by all banks.
        after_cut: read long-term memory only.
    """
    readouts = []
    for bank in banks:
        propagated = model.propagate(features, bank.read(short_term=not after_cut))
        readouts.append(FrameReadout(propagated, model.decode(propagated, features), after_cut))
    return readouts


def propagate_reference(
    model: Model, banks: Sequence[MemoryBank], features: Features, masks: Sequence[Tensor]
) -> list[ReferenceFrame]:
    """Propagate a reference frame, which reads itself with its own identities; nothing changes.

    Args:
        banks: empty banks for the first frame, or those that a later reference frame is added to.
        masks: masks of each bank, B×(m+1)×H×W, background first, m at most the model's number of identities.
    """
    references = []
    for mask in masks:
        identities = model.assign_identities(mask)
        propagated = model.propagate(features, id_embeddings=identities)
        references.append(ReferenceFrame(propagated, identities))
    return references


def write_memory(
    model: Model,
    banks: Sequence[MemoryBank],
    frames: Sequence[FrameReadout | ReferenceFrame],
    masks: Sequence[Tensor] = (),
) -> None:
    """Store a frame in every bank: `memorize`, which changes nothing, then `store`."""
    store(model, banks, frames, memorize(model, frames, masks))


def memorize(
    model: Model, frames: Sequence[FrameReadout | ReferenceFrame], masks: Sequence[Tensor] = ()
) -> list[Memory]:
    """Return the memory of a frame for each bank; nothing changes.

    Args:
        frames: result of `read_memory` or `propagate_reference`.
        masks: masks of each bank, B×(m+1)×H×W; empty after `propagate_reference`.
    """
    memories: list[Memory] = []
    for index, frame in enumerate(frames):
        known = frame.identities if isinstance(frame, ReferenceFrame) else None
        identities = model.assign_identities(masks[index]) if known is None else known
        memories.append(model.memorize(frame.propagated, identities))
    return memories


def store(
    model: Model,
    banks: Sequence[MemoryBank],
    frames: Sequence[FrameReadout | ReferenceFrame],
    memories: Sequence[Memory],
) -> None:
    """Store a frame with its memory for each bank; the banks are unusable if this fails."""
    for bank, frame, memory in zip(banks, frames, memories, strict=True):
        if isinstance(frame, ReferenceFrame):
            bank.add_reference(memory)
        else:
            relevance_fn = partial(compute_relevance, model, frame.propagated, frame.logits)
            bank.add(memory, relevance_fn, after_cut=frame.after_cut)


def one_hot(labels: Tensor, planes: int) -> Tensor:
    """Convert labels 0 to planes-1, (...)×H×W integers, to masks (...)×planes×H×W floats, channels last in memory.

    Larger labels, such as 255, are in no plane.
    """
    # the last row is for larger labels
    table = torch.eye(planes + 1, planes, dtype=torch.float32, device=labels.device)
    return F.embedding(labels.long().clamp(max=planes), table).movedim(-1, -3)
