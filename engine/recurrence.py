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
    """A frame seen with one bank's memory."""

    newest: int
    """the bank's newest frame at that time"""
    propagated: Propagated
    logits: Tensor
    """B×(M+1)×h×w"""


class Reference(NamedTuple):
    """A reference frame seen with its own masks, for one bank."""

    newest: int
    """the bank's newest frame at that time"""
    propagated: Propagated
    identities: Sequence[Tensor]
    """of the masks, from `assign_identities`"""


def look(model: Model, banks: Sequence[MemoryBank], features: Features) -> list[Seen]:
    """Read every bank, propagate its memory to a frame and decode; nothing is changed.

    Args:
        model: the network.
        banks: one per set of groups that share a first frame; each runs as one batch.
        features: of the frame, shared by all banks.

    Raises:
        InputError: a step failed while it changed the banks, or another thread is changing them.
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
    """Propagate a reference frame, which reads itself with its own identities; nothing is changed.

    Args:
        model: the network.
        banks: may be empty (the first frame) or not (a later reference frame is added to them).
        features: of the frame.
        masks: of each bank, B×(m+1)×H×W, background first, m at most the model's number of identities.
    """
    seen = []
    for bank, mask in zip(banks, masks, strict=True):
        identities = model.assign_identities(mask)
        propagated = model.propagate(features, identities=identities)
        seen.append(Reference(bank.newest, propagated, identities))
    return seen


def remember(
    model: Model,
    banks: Sequence[MemoryBank],
    seen: Sequence[Seen | Reference],
    masks: Sequence[Tensor] = (),
) -> None:
    """Store a frame in every bank: the only change that a frame makes.

    If it fails after the first change, the banks refuse to be read.

    Args:
        model: the network.
        banks: those that the frame was seen with.
        seen: from `look` or `refer`.
        masks: of each bank, B×(m+1)×H×W; none on a reference frame, whose masks `refer` has.

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
    """Masks of labels 0 to planes-1: (...)×H×W integers to (...)×planes×H×W floats, channels last in memory.

    A larger label, such as 255, is in no plane, not even the background's.
    """
    table = torch.eye(planes + 1, planes, device=labels.device)  # its last row is that of larger labels
    return F.embedding(labels.long().clamp(max=planes), table).movedim(-1, -3)
