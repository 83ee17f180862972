"""Recurrence over frames, the same in training and tracking: `look` reads memory, `remember` changes it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.engine.memory import CHANGING, MemoryBank
from aotlab.engine.relevance import frame_relevance
from aotlab.networks.model import Model
from aotlab.networks.vos_model import Features, Propagated
from aotlab.utils.errors import InputError


class Seen(NamedTuple):
    """View of a frame with one bank's memory."""

    newest: int
    """index of the bank's newest frame when seen"""
    propagated: Propagated
    logits: Tensor
    """B×(M+1)×h×w"""


class Reference(NamedTuple):
    """View of a reference frame with its own masks, for one bank."""

    newest: int
    """index of the bank's newest frame when seen"""
    propagated: Propagated
    identities: Sequence[Tensor]
    """result of `assign_identities` for the masks"""


def look(model: Model, banks: Sequence[MemoryBank], features: Features) -> list[Seen]:
    """Read every bank, propagate its memory to a frame and decode; nothing changes.

    Args:
        banks: one per set of groups with the same first frame; each runs as one batch.
        features: features of the frame, shared by all banks.

    Raises:
        InputError: a step failed while changing the banks, or another thread is changing them.
    """
    seen = []
    for bank in banks:
        if bank.changing:
            raise InputError(CHANGING)
        newest, propagated = bank.newest, model.propagate(features, bank.read())
        seen.append(Seen(newest, propagated, model.decode(propagated, features)))
    return seen


def refer(
    model: Model, banks: Sequence[MemoryBank], features: Features, masks: Sequence[Tensor]
) -> list[Reference]:
    """Propagate a reference frame, which reads itself with its own identities; nothing changes.

    Args:
        banks: empty banks for the first frame, or those that a later reference frame is added to.
        masks: masks of each bank, B×(m+1)×H×W, background first, m at most the model's number of identities.
    """
    seen = []
    for bank, mask in zip(banks, masks, strict=True):
        identities = model.assign_identities(mask)
        propagated = model.propagate(features, identities=identities)
        seen.append(Reference(bank.newest, propagated, identities))
    return seen


def remember(
    model: Model, banks: Sequence[MemoryBank], seen: Sequence[Seen | Reference], masks: Sequence[Tensor] = ()
) -> None:
    """Store a frame in every bank: the only change that a frame makes.

    If it fails after the first change, the banks refuse to be read.

    Args:
        banks: the banks given to `look` or `refer`.
        seen: their result.
        masks: masks of each bank, B×(m+1)×H×W; empty after `refer`.

    Raises:
        InputError: the banks have changed since.
    """
    memories = []
    for index, one in enumerate(seen):
        identities = model.assign_identities(masks[index]) if isinstance(one, Seen) else one.identities
        memories.append(model.memorize(one.propagated, identities))
    for bank, one in zip(banks, seen, strict=True):
        if bank.changing or bank.newest != one.newest:
            raise InputError(CHANGING)
    for bank in banks:
        bank.changing = True
    for bank, one, memory in zip(banks, seen, memories, strict=True):
        if isinstance(one, Seen):
            bank.add(memory, partial(frame_relevance, model, one.propagated, one.logits))
        else:
            bank.add_reference(memory)
    for bank in banks:
        bank.changing = False


def one_hot(labels: Tensor, planes: int) -> Tensor:
    """Convert labels 0 to planes-1, (...)×H×W integers, to masks (...)×planes×H×W floats, channels last in memory.

    Larger labels, such as 255, are in no plane.
    """
    # the last row is for larger labels
    table = torch.eye(planes + 1, planes, dtype=torch.float32, device=labels.device)
    return F.embedding(labels.long().clamp(max=planes), table).movedim(-1, -3)
