"""Relevance of stored frames to a frame's foreground."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from aotlab.engine.memory.relevance import compute_relevance
from aotlab.networks.model import KeyValue, PropagatedFrame


def test_foreground_resized_with_aligned_corners_in_every_model():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 3, 16, 16, generator=generator) * 5
    key, stored = (torch.randn(1, length, 8, generator=generator) for length in (16, 32))
    propagated = PropagatedFrame([], [KeyValue(key, key)], [(4, 4)])
    both = []
    for align_corners in (True, False):
        config = SimpleNamespace(align_corners=align_corners)
        model = SimpleNamespace(
            config=config, compare=lambda frame, key: (frame.states[0].key[:, None], key[:, None])
        )
        both.append(compute_relevance(model, propagated, logits, stored, 2).shares)
    assert torch.equal(*both)
