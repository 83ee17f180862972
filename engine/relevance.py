"""How much attention the foreground of a frame pays to each frame of long-term memory."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.networks.model import Model
from aotlab.networks.vos_model import Propagated

AT_ONCE = 2**22
"""attention weights that are held at a time"""


class FrameRelevance(NamedTuple):
    """How relevant the frames of long-term memory are to the newest one, in the first block of the first stage."""

    relevance: Tensor
    """B×T, each frame's share of the foreground's attention; adds up to 1, or is all 0 where there is no foreground"""
    keys: Tensor
    """B×T×L×C, the keys as they were compared with queries"""


def frame_relevance(
    model: Model, propagated: Propagated, logits: Tensor, key: Tensor, frames: int
) -> FrameRelevance:
    """The attention of a frame's foreground to long-term memory, computed once more.

    Args:
        model: the network that propagated.
        propagated: the frame.
        logits: B×(M+1)×h×w that were decoded from it.
        key: B×(T·L)×C of the first block's long-term memory that it read.
        frames: T.
    """
    size = propagated.embeddings[0][0].shape[2:]
    resized = F.interpolate(logits.float(), size, mode="bilinear", align_corners=True)
    foreground = (1 - resized.softmax(1)[:, 0]).flatten(1)
    query = propagated.current[0][0].key  # queries and keys of a frame are one projection
    query, key = model.add_temporal(query, key)
    shares = relevance(query, key, foreground, heads=model.heads, frames=frames)
    return FrameRelevance(shares, key.unflatten(1, (frames, -1)))


def relevance(query: Tensor, key: Tensor, weight: Tensor, *, heads: int, frames: int) -> Tensor:
    """Attention to each frame, averaged over heads, summed over the frame's tokens and the weighted queries.

    Queries are taken a few at a time, so the whole matrix of attention weights is never in memory.

    query: B×L×C; key: B×(T·L)×C; weight: B×L, of the queries. Returns B×T that adds up to 1, or zeros for no weight.
    """
    query = query.unflatten(2, (heads, -1)).transpose(1, 2).float()
    key = key.unflatten(2, (heads, -1)).permute(0, 2, 3, 1).float() * query.shape[3] ** -0.5
    rows = max(1, AT_ONCE // (query.shape[0] * heads * key.shape[3]))
    received = query.new_zeros(query.shape[0], key.shape[3])  # by key
    for queries, weights in zip(query.split(rows, 2), weight.float().split(rows, 1), strict=True):
        attention = (queries @ key).softmax(3)  # B×heads×rows×(T·L)
        received += torch.einsum("bhls,bl->bs", attention, weights)
    shares = received.unflatten(1, (frames, -1)).sum(2)
    total = shares.sum(1, keepdim=True)
    return torch.where(total > 0, shares / total, 0)
