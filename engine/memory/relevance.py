"""Attention of a frame's foreground to each frame of long-term memory."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.networks.model import PropagatedFrame, VOSModel

MAX_CHUNK_WEIGHTS = 2**22
"""Largest number of attention weights in memory at once."""


class FrameRelevance(NamedTuple):
    """Relevance of the frames in long-term memory to the newest one, in the first block."""

    shares: Tensor
    """T, each frame's share of the foreground's attention; sums to 1, or all 0 without foreground."""
    keys: Tensor
    """T×L×C, keys with the temporal embedding added."""


def compute_relevance(
    model: VOSModel,
    propagated: PropagatedFrame,
    logits: Tensor,
    key: Tensor,
    num_frames: int,
    chunk_size: int | None = None,
) -> FrameRelevance:
    """Compute the attention of a frame's foreground to long-term memory.

    Args:
        logits: its decoded logits 1×(M+1)×h×w.
        key: 1×(T·L)×C, keys of the first block's long-term memory.
        num_frames: T.
        chunk_size: see `attention_per_frame`.
    """
    # with aligned corners in models of both kinds, as published
    resized = F.interpolate(logits, propagated.sizes[0], mode="bilinear", align_corners=True)
    foreground = (1 - resized.softmax(1)[:, 0]).flatten(1)
    query = propagated.states[0][0].key
    query, key = model.stage_blocks[0][0].long_attention.split(query, key)
    shares = attention_per_frame(query, key, foreground, num_frames, chunk_size)
    return FrameRelevance(shares.mean(0), key[0].transpose(0, 1).flatten(1).unflatten(0, (num_frames, -1)))


def attention_per_frame(query: Tensor, key: Tensor, weight: Tensor, num_frames: int, chunk_size: int | None) -> Tensor:
    """Return the attention to each frame, averaged over heads, summed over its tokens and the weighted queries.

    query: B×heads×L×c; key: B×heads×(T·L)×c; weight: B×L, of the queries. Returns B×T that sums to 1, or zeros without
    weight.
    Queries run in chunks of ``chunk_size`` (None: sized by `MAX_CHUNK_WEIGHTS`), so that the full attention
    matrix is never in memory.
    """
    query, key = query.float(), key.mT.float() * query.shape[3] ** -0.5  # B×heads×c×(T·L)
    chunk_size = chunk_size or max(1, MAX_CHUNK_WEIGHTS // (query.shape[:2].numel() * key.shape[3]))
    attention_by_key = query.new_zeros(query.shape[0], key.shape[3])
    for queries, weights in zip(query.split(chunk_size, 2), weight.float().split(chunk_size, 1), strict=True):
        attention = (queries @ key).softmax(3)  # B×heads×chunk×(T·L)
        attention_by_key += torch.einsum("bhls,bl->bs", attention, weights)
    shares = attention_by_key.unflatten(1, (num_frames, -1)).sum(2)
    total = shares.sum(1, keepdim=True)
    return torch.where(total > 0, shares / total, 0)
