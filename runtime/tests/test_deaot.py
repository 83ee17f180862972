"""The blocks of DeAOT in runtime/examples/aot.py beside the graphs."""

import numpy as np
import torch

from aotlab.engine.export.graphs import build_graphs
from runtime.examples import aot
from runtime.tests.exports import MASKS
from tests.engine.small_model import HEIGHT, WIDTH, build, draw_texture

SHARES = 1e-4
"""Largest difference as a share of the largest value: float32 sums in another order."""


def list_parameters(module):
    return {name: parameter.detach().numpy() for name, parameter in module.state_dict().items()}


def assert_near(found, expected):
    np.testing.assert_allclose(found, expected, atol=SHARES * np.abs(expected).max())


def read_block_memory(memory, index):
    """Return the arrays of a block's memory by the names of the example."""
    prefix = f"memory_{index}_"
    return {name.removeprefix(prefix): x[0] for name, x in memory.items() if name.startswith(prefix)}


def to_tokens(maps):
    """Return the tokens L×C of a map 1×C×h×w, and its size."""
    return maps[0].reshape(maps.shape[1], -1).T, maps.shape[2:]


def test_blocks_of_deaot_equal_graphs():
    model, config = build("deaott", "model.stages.0.depth=2")
    graphs = build_graphs(model, (HEIGHT, WIDTH), config.memory)

    def run(name, tensors):
        graph = graphs[name]
        with torch.inference_mode():
            results = graph(*(torch.from_numpy(tensors[key]) for key in graph.inputs))
        return {key: result.numpy() for key, result in zip(graph.outputs, results, strict=True)}

    frames = draw_texture(2)
    masks = np.eye(1 + model.config.max_objects, dtype=np.float32)[MASKS[0]].transpose(2, 0, 1)[None]
    id_embeddings = run("assign_identities", {"masks": np.ascontiguousarray(masks)})
    reference = run("reference", run("encode", {"frame": frames[0]}) | id_embeddings)
    memory = run("memorize", reference | id_embeddings)
    features = run("encode", {"frame": frames[1]})
    propagated = run("propagate", features | memory)
    expected = run("memorize", propagated | id_embeddings)

    visual, size = to_tokens(features["features_projected"])
    identity = None
    for index, layer in enumerate(model.blocks):
        w = list_parameters(layer)
        visual, identity, *state = aot.propagate_deaot(w, visual, identity, size, read_block_memory(memory, index))
        key, value = aot.memorize_deaot(w, *state, id_embeddings["id_embeddings_0"][0])
        assert_near(key, expected[f"memory_{index}_long_key"][0])
        assert_near(value, expected[f"memory_{index}_long_value"][0])
    branches = aot.normalize(np.stack([visual, identity], axis=1), (0, 2)).reshape(len(visual), -1)
    norm = list_parameters(model.norm)
    assert_near(
        branches * norm["weight"] + norm["bias"], to_tokens(propagated["embeddings_0"])[0]
    )  # a group per branch
