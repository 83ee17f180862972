"""The recurrence over frames, the same in training and tracking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.engine.memory import MemoryBank
from aotlab.engine.relevance import frame_relevance
from aotlab.networks.model import Model
from aotlab.networks.vos_model import Features, Propagated

Feedback = Callable[[list[Tensor]], list[Tensor] | None]
"""From each bank's logits B×(M+1)×H/4×W/4 to the masks B×(m+1)×H×W it shall remember; None to remember nothing."""


def advance(
    model: Model, banks: Sequence[MemoryBank], features: Features, feedback: Feedback
) -> list[Tensor]:
    """Track one frame: read every bank, decode, and remember the masks that ``feedback`` makes of the logits.

    Args:
        model: the network.
        banks: one per set of groups that share a first frame; each runs as one batch.
        features: of the frame, shared by all banks.
        feedback: sees the logits of all banks at once, for masks that depend on all of them.

    Returns:
        The logits of each bank, B×(M+1)×H/4×W/4.
    """
    frames: list[Propagated] = []
    logits: list[Tensor] = []
    for bank in banks:
        propagated = model.propagate(features, bank.read())
        frames.append(propagated)
        logits.append(model.decode(propagated, features))
    masks = feedback(logits)
    if masks is not None:
        for bank, propagated, decoded, mask in zip(banks, frames, logits, masks, strict=True):
            memory = model.memorize(propagated, model.assign_identities(mask))
            bank.add(memory, partial(frame_relevance, model, propagated, decoded))
    return logits


def refer(model: Model, bank: MemoryBank, features: Features, masks: Tensor) -> Propagated:
    """Take in a reference frame: it reads itself with its own identities and enters the bank.

    Args:
        model: the network.
        bank: may be empty (the first frame) or not (a later reference is added to it).
        features: of the frame.
        masks: B×(m+1)×H×W, background first, m at most the model's number of identities.

    Returns:
        What `VOSModel.decode` takes, for the loss on reference frames.
    """
    identities = model.assign_identities(masks)
    propagated = model.propagate(features, identities=identities)
    bank.add_reference(model.memorize(propagated, identities))
    return propagated


def one_hot(labels: Tensor, planes: int) -> Tensor:
    """Masks of labels 0 to planes-1: (...)×H×W integers to (...)×planes×H×W floats, channels last in memory.

    A larger label, such as 255, is in no plane, not even the background's.
    """
    table = torch.eye(planes + 1, planes, device=labels.device)  # its last row is that of larger labels
    return F.embedding(labels.long().clamp(max=planes), table).movedim(-1, -3)
