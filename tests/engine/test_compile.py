"""Graph of a frame: no operation is wasted."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch._functorch.compile_utils import fx_graph_cse
from torch.fx.experimental.proxy_tensor import make_fx

from aotlab.networks.attention import LocalAttention
from aotlab.networks.fast.attention import TiledLocalAttention
from tests.engine.small_model import build


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["deaott", "aost"])
def test_frame_graph_has_no_duplicate_or_unused_operation(preset):
    model, _ = build(preset)
    model = model.eval()
    for module in model.modules():
        if type(module) is LocalAttention:
            module.__class__ = TiledLocalAttention
    image, masks = torch.rand(1, 3, 33, 49), torch.rand(1, 2, 33, 49)
    with torch.no_grad():
        identities = model.assign_identities(masks)
        memory = model.memorize(model.propagate(model.encode(image), id_embeddings=identities), identities)

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
