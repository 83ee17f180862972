"""torch.compile: each part of a frame is one graph, compiled within the first three frames."""

from __future__ import annotations

from functools import partialmethod

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from aotlab.engine.tracker import Tracker
from tests.engine.small_model import build, clip, stripes


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["aott", "deaott"])
def test_each_part_is_one_graph_and_none_is_compiled_again_after_three_frames(preset, monkeypatch):
    graphs = CompileCounter()
    whole = partialmethod(torch.nn.Module.compile, fullgraph=True, backend=graphs)  # a graph break raises
    torch._dynamo.reset()
    plain = track(Tracker(*build(preset)))
    monkeypatch.setattr(torch.nn.Module, "compile", whole)
    counts = []
    compiled = track(
        Tracker(*build(preset, "compute.compile=true")), lambda: counts.append(graphs.frame_count)
    )
    assert counts[2:] == [counts[2]] * 4
    # encoder, block and decoder; block and reference frame: it reads itself
    assert 3 <= counts[2] <= 4
    for one, other in zip(plain, compiled, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def track(tracker, after=lambda: None):
    """Logits of six frames; ``after`` is called after each of them."""
    logits = []
    for index, frame in enumerate(clip(6)):
        logits.append(tracker.step(frame, stripes([1, 2]) if index == 0 else None).logits)
        after()
    return logits
