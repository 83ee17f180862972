"""The five verbs of a model as graphs: modules that take and give tensors alone, with inputs to trace them by.

encode, assign_identities, propagate, memorize and decode; propagate on a reference frame, which reads no memory, is a
graph of its own. All shapes are fixed but one axis: long-term memory holds from 1 to so many frames, L tokens each.
Attention to what is there alone needs no mask, is exact, and costs nothing for frames that are not there yet.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from aotlab.engine.export.names import (
    Tensors,
    current_of,
    embeddings_of,
    features_of,
    identities_of,
    map_sizes,
    memory_of,
    named_current,
    named_embeddings,
    named_identities,
    named_memory,
)
from aotlab.networks import products
from aotlab.networks.temporal import TemporalEmbedding, embedding_indices
from aotlab.networks.vos_model import Features, Propagated, VOSModel

Verb = Callable[[VOSModel, Tensors], dict[str, Tensor]]
EXAMPLE_FRAMES = 2
"""frames in the long-term memory that propagate is traced with; 1 would be taken for a constant"""


class GivenSlots(nn.Module):
    """A `TemporalEmbedding` that is told which slot each frame takes, as that depends on how many there are."""

    def __init__(self, embedding: TemporalEmbedding) -> None:
        super().__init__()
        self.query, self.memory = embedding.query, embedding.memory
        self.slots: Tensor | None = None

    def forward(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """As `TemporalEmbedding.forward`, with `slots` T int64; without, for one frame."""
        moments = self.memory[:1] if self.slots is None else self.memory[self.slots]
        placed = key.unflatten(1, (-1, query.shape[1])) + moments[:, None]
        return query + self.query, placed.flatten(1, 2)


class GraphModule(nn.Module):
    """A verb with its inputs and outputs in a fixed order."""

    def __init__(
        self, model: VOSModel, verb: Verb, inputs: tuple[str, ...], outputs: tuple[str, ...] = ()
    ) -> None:
        super().__init__()
        self.model, self.verb, self.inputs, self.outputs = model, verb, inputs, outputs

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Inputs in the order of `inputs`, outputs in that of `outputs`."""
        with products.use("exportable"):
            results = self.verb(self.model, dict(zip(self.inputs, given, strict=True)))
        return tuple(results[name] for name in self.outputs)


@dataclass(frozen=True)
class Graph:
    """One graph before it is written."""

    module: GraphModule
    examples: dict[str, Tensor]
    """inputs to trace it with, in order"""
    results: dict[str, Tensor]
    """what comes of them, also what the graph need not give"""
    same: dict[str, str]
    """results that are an input, or another result, by its name; the graph gives the others"""
    growing: dict[str, tuple[int, int]] = field(default_factory=dict)
    """inputs that grow with the frames in long-term memory: the axis, and its length per frame"""


def build_graphs(model: VOSModel, size: tuple[int, int], groups: int) -> dict[str, Graph]:
    """The graphs of a model, by name.

    Everything runs once: that makes the examples, and fills what blocks keep per map size with real numbers.

    Args:
        model: stays as it is.
        size: (height, width) of the network's input in pixels.
        groups: of objects in a batch.
    """
    model, images = _exportable(model), torch.Generator().manual_seed(0)
    planes = model.config.max_objects + 1
    shortcuts = {stage.shortcut for stage in model.stages[1:]}
    read = ["projected", *(Features._fields[index] for index in sorted(shortcuts))]
    with torch.no_grad():
        encode = _graph(model, _encode, {"image": torch.rand(1, 3, *size, generator=images)})
        masks = {"masks": torch.rand(groups, planes, *size, generator=images)}
        identify = _graph(model, _identify, masks)
        maps = {name: encode.results[name] for name in read}
        reference = _graph(model, _propagate, {**maps, **identify.results})
        keys = {name: own for name, own in reference.results.items() if not name.startswith("embedding_")}
        memorize = _graph(model, partial(_memorize, size=size), {**keys, **identify.results})
        memory, growing = _grown(model, memorize.results)
        propagate = _graph(model, _propagate, {**maps, **memory}, growing)
        decoded = {name: own for name, own in reference.results.items() if name not in keys}
        refined = {name: encode.results[name] for name in Features._fields[:3] if len(model.stages) == 1}
        decode = _graph(model, _decode, {**decoded, **refined})
        graphs = {
            "encode": encode, "assign_identities": identify, "reference": reference, "propagate": propagate,
            "memorize": memorize, "decode": decode,
        }  # fmt: skip
        if "slots_0" in memory:
            seen = {
                "key_0_0": keys["key_0_0"],
                "long_key_0_0": memory["long_key_0_0"],
                "slots_0": memory["slots_0"],
            }
            graphs["place"] = _graph(model, _place, seen, {name: growing[name] for name in list(seen)[1:]})
    return graphs


def _exportable(model: VOSModel) -> VOSModel:
    """A copy for inference, whose temporal embeddings are told their slots."""
    model = deepcopy(model).cpu().float().eval().requires_grad_(False)
    for stage in model.stages:
        if stage.temporal is not None:
            stage.temporal = GivenSlots(stage.temporal)  # type: ignore[assignment]
    return model


def _graph(
    model: VOSModel,
    verb: Verb,
    examples: dict[str, Tensor],
    growing: dict[str, tuple[int, int]] | None = None,
) -> Graph:
    """Run a verb and see what it gives."""
    results, same = verb(model, examples), {}
    known = {id(own): name for name, own in examples.items()}
    for name, own in results.items():
        if id(own) in known:
            same[name] = known[id(own)]
        known.setdefault(id(own), name)
    outputs = tuple(name for name in results if name not in same)
    module = GraphModule(_part(model, verb), verb, tuple(examples), outputs)
    return Graph(module, examples, results, same, growing or {})


def _part(model: VOSModel, verb: Verb) -> VOSModel:
    """The model without the weights that a verb does not read."""
    members: dict[Verb, tuple[str, ...]] = {_encode: ("encoder", "projector"), _decode: ("decoder",)}
    read = members.get(verb, ("stages",))
    part = copy(model)
    part._modules = {name: own if name in read else nn.Identity() for name, own in model._modules.items()}
    return part


def _grown(
    model: VOSModel, memory: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, tuple[int, int]]]:
    """Memory of a few frames from that of one, with the slots of these frames, and what of it grows how."""
    growing = {name: (1, own.shape[1]) for name, own in memory.items() if name.startswith("long_")}
    memory = {
        name: own.repeat(1, EXAMPLE_FRAMES if name in growing else 1, 1) for name, own in memory.items()
    }
    for number, stage in enumerate(model.stages):
        if stage.temporal is not None:
            growing[f"slots_{number}"] = (0, 1)
            memory[f"slots_{number}"] = embedding_indices(EXAMPLE_FRAMES, len(stage.temporal.memory))
    return memory, growing


def _encode(model: VOSModel, given: Tensors) -> dict[str, Tensor]:
    return model.encode(given["image"])._asdict()


def _identify(model: VOSModel, given: Tensors) -> dict[str, Tensor]:
    return named_identities(model.assign_identities(given["masks"]))


def _propagate(model: VOSModel, given: Tensors) -> dict[str, Tensor]:
    """On a reference frame where identities are given, else from memory."""
    config = model.config
    for number, stage in enumerate(model.stages):
        if isinstance(stage.temporal, GivenSlots):
            stage.temporal.slots = given.get(f"slots_{number}")
    if "identities_0" in given:
        propagated = model.propagate(features_of(given), identities=identities_of(config, given))
    else:
        propagated = model.propagate(features_of(given), memory_of(config, given))
    handed = propagated.embeddings[-1] if config.decode_all_blocks else propagated.embeddings[-1][-1:]
    return {**named_embeddings(handed), **named_current(propagated.current)}


def _memorize(model: VOSModel, given: Tensors, *, size: tuple[int, int]) -> dict[str, Tensor]:
    """Of a frame's embeddings memorize reads nothing but their sizes."""
    sizes = map_sizes(model.config, size)
    embeddings = [[given["identities_0"].new_empty(1, 1, *own)] for own in sizes]
    propagated = Propagated(embeddings, current_of(model.config, given))
    return named_memory(model.memorize(propagated, identities_of(model.config, given)))


def _decode(model: VOSModel, given: Tensors) -> dict[str, Tensor]:
    return {"logits": model.decode(Propagated([embeddings_of(given)], []), features_of(given))}


def _place(model: VOSModel, given: Tensors) -> dict[str, Tensor]:
    """The first stage's temporal embedding alone, for memory policies that compare queries with keys."""
    temporal = model.stages[0].temporal
    assert isinstance(temporal, GivenSlots)
    temporal.slots = given["slots_0"]
    query, key = temporal(given["key_0_0"], given["long_key_0_0"])
    return {"placed_query": query, "placed_key": key}
