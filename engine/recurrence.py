"""Recurrence over frames, the same in training and tracking: `read_memory`, then `write_memory`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.engine.memory.bank import IN_USE_MESSAGE, MemoryBank
from aotlab.engine.memory.relevance import compute_relevance
from aotlab.networks.model import Features, PropagatedFrame, VOSModel
from aotlab.utils.errors import InputError


class FrameReadout(NamedTuple):
    """A frame after one bank's memory was propagated to it."""

    newest: int
    """index of the bank's newest frame when it was read"""
    propagated: PropagatedFrame
    logits: Tensor
    """B×(M+1)×h×w, float32"""
    after_cut: bool = False
    """whether short-term memory was not read, and ends before this frame"""


class ReferenceFrame(NamedTuple):
    """A reference frame after its own identities were propagated, for one bank."""

    newest: int
    """index of the bank's newest frame then"""
    propagated: PropagatedFrame
    identities: Sequence[Tensor]
    """result of `assign_identities` for the masks"""


def read_memory(
    model: VOSModel, banks: Sequence[MemoryBank], features: Features, *, after_cut: bool = False
) -> list[FrameReadout]:
    """Read every bank, propagate its memory to a frame and decode; nothing changes.

    Args:
        banks: one per set of groups with the same first frame; each runs as one batch.
        features: features of the frame, shared by all banks.
        after_cut: read long-term memory only.

    Raises:
        InputError: a step failed while changing the banks, or another thread is changing them.
    """
    readouts = []
    for bank in banks:
        if bank.corrupt:
            raise InputError(IN_USE_MESSAGE)
        newest, propagated = bank.newest, model.propagate(features, bank.read(short_term=not after_cut))
        logits = model.decode(propagated, features).float()
        readouts.append(FrameReadout(newest, propagated, logits, after_cut))
    return readouts


def propagate_reference(
    model: VOSModel, banks: Sequence[MemoryBank], features: Features, masks: Sequence[Tensor]
) -> list[ReferenceFrame]:
    """Propagate a reference frame, which reads itself with its own identities; nothing changes.

    Args:
        banks: empty banks for the first frame, or those that a later reference frame is added to.
        masks: masks of each bank, B×(m+1)×H×W, background first, m at most the model's number of identities.
    """
    references = []
    for bank, mask in zip(banks, masks, strict=True):
        identities = model.assign_identities(mask)
        propagated = model.propagate(features, id_embeddings=identities)
        references.append(ReferenceFrame(bank.newest, propagated, identities))
    return references


def write_memory(
    model: VOSModel,
    banks: Sequence[MemoryBank],
    frames: Sequence[FrameReadout | ReferenceFrame],
    masks: Sequence[Tensor] = (),
) -> None:
    """Store a frame in every bank: the only change that a frame makes.

    If it fails after the first change, the banks refuse to be read.

    Args:
        banks: the banks given to `read_memory` or `propagate_reference`.
        frames: their result.
        masks: masks of each bank, B×(m+1)×H×W; empty after `propagate_reference`.

    Raises:
        InputError: the banks have changed since.
    """
    memories = []
    for index, frame in enumerate(frames):
        known = frame.identities if isinstance(frame, ReferenceFrame) else None
        identities = model.assign_identities(masks[index]) if known is None else known
        memories.append(model.memorize(frame.propagated, identities))
    for bank, frame in zip(banks, frames, strict=True):
        if bank.corrupt or bank.newest != frame.newest:
            raise InputError(IN_USE_MESSAGE)
    for bank in banks:
        bank.corrupt = True
    for bank, frame, memory in zip(banks, frames, memories, strict=True):
        if isinstance(frame, ReferenceFrame):
            bank.add_reference(memory)
        else:
            relevance = None
            if bank.needs_relevance:
                keys = bank.read()[0].long.key
                relevance = compute_relevance(model, frame.propagated, frame.logits, keys, len(bank))
            bank.add(memory, relevance, after_cut=frame.after_cut)
    for bank in banks:
        bank.corrupt = False


def one_hot(labels: Tensor, planes: int) -> Tensor:
    """Convert labels 0 to planes-1, (...)×H×W integers, to masks (...)×planes×H×W floats, channels last in memory.

    Larger labels, such as 255, are in no plane.
    """
    # the last row is for larger labels
    table = torch.eye(planes + 1, planes, dtype=torch.float32, device=labels.device)
    return F.embedding(labels.long().clamp(max=planes), table).movedim(-1, -3)
