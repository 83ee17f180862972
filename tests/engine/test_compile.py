"""Graphs of a frame: torch.compile makes one of each part within three frames, and no operation is wasted."""

from __future__ import annotations

from collections import Counter
from functools import partialmethod

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch._functorch.compile_utils import fx_graph_cse
from torch.fx.experimental.proxy_tensor import make_fx

from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.kernels import SETS
from aotlab.networks.kernels.folding import folded
from aotlab.networks.operations import use
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


@pytest.mark.parametrize("preset", ["deaott", "aost"])
def test_a_frame_computes_nothing_twice_and_nothing_unused(preset):
    model, _ = build(preset)
    model = folded(model.eval())
    image, masks = torch.rand(1, 3, 33, 49), torch.rand(1, 2, 33, 49)
    with torch.no_grad(), use(SETS["exportable"]):
        identities = model.assign_identities(masks)
        memory = model.memorize(model.propagate(model.encode(image), identities=identities), identities)

        def frame(image, masks, memory):
            features = model.encode(image)
            propagated = model.propagate(features, memory)
            newest = model.memorize(propagated, model.assign_identities(masks))
            return model.decode(propagated, features), newest

        graph = make_fx(frame)(image, masks, memory).graph
    found = operations(graph)
    graph.eliminate_dead_code()
    assert found == operations(graph)
    assert found == operations(fx_graph_cse(graph))


def operations(graph):
    """Counts of operations that compute; views and parts of several results cost nothing."""
    free = ("view", "transpose", "slice", "getitem", "detach", "expand", "permute", "split", "unsqueeze")
    names = [str(node.target) for node in graph.nodes if node.op == "call_function"]
    return Counter(name for name in names if not any(word in name for word in free))
