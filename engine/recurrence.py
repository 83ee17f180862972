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
from aotlab.networks.model import Features, Memory, PropagatedFrame, VOSModel


class FrameReadout(NamedTuple):
    """A frame after one bank's memory was propagated to it."""

    propagated: PropagatedFrame
    logits: Tensor
    """B×(M+1)×h×w, float32"""
    after_cut: bool = False
    """whether zeros were read in place of short-term memory, which restarts with this frame"""


class ReferenceFrame(NamedTuple):
    """A reference frame after its own identities were propagated, for one bank."""

    propagated: PropagatedFrame
    identities: Sequence[Tensor]
    """result of `assign_identities` for the masks"""


def read_memory(
    model: VOSModel, banks: Sequence[MemoryBank], features: Features, *, after_cut: bool = False
) -> list[FrameReadout]:
    """Read every bank, propagate its memory to a frame and decode.

    Args:
        banks: one per set of groups with the same first frame; each runs as one batch.
        features: features of the frame, shared by all banks.
        after_cut: read zeros in place of short-term memory.
    """
    readouts = []
    for bank in banks:
        propagated = model.propagate(features, bank.read(short_term=not after_cut))
        readouts.append(FrameReadout(propagated, model.decode(propagated, features).float(), after_cut))
    return readouts


def propagate_reference(
    model: VOSModel, banks: Sequence[MemoryBank], features: Features, masks: Sequence[Tensor]
) -> list[ReferenceFrame]:
    """Propagate a reference frame, which reads itself with its own identities.

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
    model: VOSModel,
    banks: Sequence[MemoryBank],
    frames: Sequence[FrameReadout | ReferenceFrame],
    masks: Sequence[Tensor] = (),
) -> None:
    """Compute the memory of a frame and add it to every bank; arguments as `compute_memory`."""
    add_to_banks(model, banks, frames, compute_memory(model, frames, masks))


def compute_memory(
    model: VOSModel, frames: Sequence[FrameReadout | ReferenceFrame], masks: Sequence[Tensor] = ()
) -> list[Memory]:
    """Return the memory of a frame for each bank.

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


def add_to_banks(
    model: VOSModel,
    banks: Sequence[MemoryBank],
    frames: Sequence[FrameReadout | ReferenceFrame],
    memories: Sequence[Memory],
) -> None:
    """Add the memory of a frame to its banks, which are unusable if this fails."""
    for bank, frame, memory in zip(banks, frames, memories, strict=True):
        if isinstance(frame, ReferenceFrame):
            bank.add_reference(memory)
        else:
            relevance = partial(compute_relevance, model, frame.propagated, frame.logits)
            bank.add(memory, relevance, after_cut=frame.after_cut)


def one_hot(labels: Tensor, planes: int) -> Tensor:
    """Convert labels 0 to planes-1, (...)×H×W integers, to masks (...)×planes×H×W floats, channels last in memory.

    Larger labels, such as 255, are in no plane.
    """
    # the last row is for larger labels
    table = torch.eye(planes + 1, planes, dtype=torch.float32, device=labels.device)
    return F.embedding(labels.long().clamp(max=planes), table).movedim(-1, -3)
