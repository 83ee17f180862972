"""Objects beyond one identity bank: groups of M objects, split for the model and fused from it."""

from __future__ import annotations

import torch
from torch import Tensor

from aotlab.engine.advance import one_hot


def group_masks(labels: Tensor, groups: range, identities: int) -> Tensor:
    """Masks of a run of groups, each with its own objects at 1 to M and all others as background.

    Args:
        labels: H×W integers, 0 background, object k (from 1) in group (k-1) // M.
        groups: G consecutive groups.
        identities: M.

    Returns:
        G×(M+1)×H×W floats.
    """
    starts = torch.arange(groups.start, groups.stop, device=labels.device) * identities
    local = labels - starts[:, None, None]
    local = torch.where((local >= 1) & (local <= identities), local, 0)
    return one_hot(local, identities + 1)


def fuse(logits: Tensor) -> Tensor:
    """Logits of all groups' objects on one scale (the rule of the published evaluation).

    Background is what every group calls background; a pixel's classes need not add up to 1 before the softmax
    that follows.

    logits: G×(M+1)×H×W at the size where they are compared. Returns (1+G·M)×H×W.
    """
    probabilities = logits.softmax(1)
    background = probabilities[:, 0].prod(0, keepdim=True)
    joined = torch.cat([background, probabilities[:, 1:].flatten(0, 1)]).clamp(1e-5, 1 - 1e-5)
    return torch.logit(joined)
