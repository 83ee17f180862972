"""The five methods of a model as graphs: modules that take and return tensors, with example inputs.

propagate on a reference frame, which reads no memory, is a separate graph. All shapes are fixed but one axis: long-term
memory holds a varying number of frames, so attention needs no mask and is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import dataclass
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
from aotlab.engine.prompting import SETTINGS, look_size
from aotlab.networks.block import TemporalEmbedding, embedding_indices
from aotlab.networks.kernels import SETS
from aotlab.networks.operations import use
from aotlab.networks.prompts import PLANES
from aotlab.networks.vos_model import Features, Propagated, VOSModel
from aotlab.utils.errors import InputError

Method = Callable[[VOSModel, Tensors], dict[str, Tensor]]
EXAMPLE_FRAMES = 2
"""number of long-term frames that propagate is traced with; 1 would become a constant"""
MAPS = ("quarter", "eighth", "sixteenth", "projected")
"""feature maps by stride, and the last one projected"""
NAMES = ("prompt_encode", "prompt_masks")
"""the graphs' names"""


class IndexedTemporalEmbedding(nn.Module):
    """A `TemporalEmbedding` with its indices as an input, as they depend on the number of frames."""

    def __init__(self, embedding: TemporalEmbedding) -> None:
        super().__init__()
        self.query, self.memory = embedding.query, embedding.memory
        self.indices: Tensor | None = None

    def forward(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Add the embeddings as `TemporalEmbedding.forward` does, of frames `indices` (T int64); None: one frame."""
        added = self.memory[:1] if self.indices is None else self.memory[self.indices]  # T×C
        key = key.unflatten(1, (-1, query.shape[1])) + added[:, None]  # B×T×L×C
        return query + self.query, key.flatten(1, 2)


class GraphModule(nn.Module):
    """A method with its inputs and outputs in a fixed order."""

    def __init__(
        self, model: VOSModel, method: Method, inputs: tuple[str, ...], outputs: tuple[str, ...]
    ) -> None:
        super().__init__()
        self.model, self.method, self.inputs, self.outputs = model, method, inputs, outputs

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Take inputs in the order of `inputs`; return outputs in the order of `outputs`."""
        with use(SETS["exportable"]):
            results = self.method(self.model, dict(zip(self.inputs, tensors, strict=True)))
        return tuple(results[name] for name in self.outputs)


@dataclass(frozen=True)
class Graph:
    """One graph before it is written."""

    module: GraphModule
    examples: dict[str, Tensor]
    """example inputs, in order"""
    results: dict[str, Tensor]
    """results for the examples, including those that the graph does not output"""
    same: dict[str, str]
    """names of results that equal an input or another result, with its name; the graph outputs the others"""
    growing: dict[str, tuple[int, int]]
    """axis, and its length per frame, of inputs that grow with long-term memory"""


def build_graphs(model: VOSModel, size: tuple[int, int], groups: int) -> dict[str, Graph]:
    """Build the graphs of a model, by name.

    Every method runs once, to make the examples and to fill caches with real values.

    Args:
        size: (height, width) of the network's input in pixels.
        groups: number of groups of objects in a batch.
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
        keys = {name: x for name, x in reference.results.items() if not name.startswith("embedding_")}
        memorize = _graph(model, partial(_memorize, size=size), {**keys, **identify.results})
        memory, growing = _grown(model, memorize.results)
        propagate = _graph(model, _propagate, {**maps, **memory}, growing)
        decoded = {name: x for name, x in reference.results.items() if name not in keys}
        refined = {name: encode.results[name] for name in Features._fields[:3] if len(model.stages) == 1}
        decode = _graph(model, _decode, {**decoded, **refined})
        graphs = {
            "encode": encode, "assign_identities": identify, "reference": reference, "propagate": propagate,
            "memorize": memorize, "decode": decode,
        }  # fmt: skip
        if "temporal_indices_0" in memory:
            compared = {
                "key_0_0": keys["key_0_0"],
                "long_key_0_0": memory["long_key_0_0"],
                "temporal_indices_0": memory["temporal_indices_0"],
            }
            free = {name: growing[name] for name in list(compared)[1:]}
            graphs["add_temporal"] = _graph(model, _add_temporal, compared, free)
    return graphs


def _exportable(model: VOSModel) -> VOSModel:
    """Copy a model for inference, with the indices of temporal embeddings as an input."""
    model = deepcopy(model).cpu().float().eval().requires_grad_(False)
    for stage in model.stages:
        if stage.temporal is not None:
            stage.temporal = IndexedTemporalEmbedding(stage.temporal)  # type: ignore[assignment]
    return model


def _graph(
    model: VOSModel,
    method: Method,
    examples: dict[str, Tensor],
    growing: dict[str, tuple[int, int]] | None = None,
) -> Graph:
    """Run a method, and find the results that equal its inputs."""
    results, same = method(model, examples), {}
    known = {id(tensor): name for name, tensor in examples.items()}
    for name, tensor in results.items():
        if id(tensor) in known:
            same[name] = known[id(tensor)]
        known.setdefault(id(tensor), name)
    outputs = tuple(name for name in results if name not in same)
    module = GraphModule(_part(model, method), method, tuple(examples), outputs)
    return Graph(module, examples, results, same, growing or {})


def _part(model: VOSModel, method: Method) -> VOSModel:
    """Copy the model without the weights that a method does not read."""
    members: dict[Method, tuple[str, ...]] = {
        _encode: ("encoder", "projector"),
        _decode: ("decoder",),
        _encode_prompted: ("prompts",),
        _segment: ("prompts",),
    }
    read = members.get(method, ("stages",))
    part = copy(model)
    part._modules = {
        name: module if name in read else nn.Identity() for name, module in model._modules.items()
    }
    return part


def _grown(
    model: VOSModel, memory: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, tuple[int, int]]]:
    """Repeat the memory of one frame for `EXAMPLE_FRAMES`; return it with temporal indices, and its growing axes."""
    growing = {name: (1, x.shape[1]) for name, x in memory.items() if name.startswith("long_")}
    memory = {name: x.repeat(1, EXAMPLE_FRAMES if name in growing else 1, 1) for name, x in memory.items()}
    for number, stage in enumerate(model.stages):
        if stage.temporal is not None:
            growing[f"temporal_indices_{number}"] = (0, 1)
            memory[f"temporal_indices_{number}"] = embedding_indices(
                EXAMPLE_FRAMES, len(stage.temporal.memory)
            )
    return memory, growing


def _encode(model: VOSModel, given: Tensors) -> dict[str, Tensor]:
    return model.encode(given["image"])._asdict()


def _identify(model: VOSModel, given: Tensors) -> dict[str, Tensor]:
    return named_identities(model.assign_identities(given["masks"]))


def _propagate(model: VOSModel, given: Tensors) -> dict[str, Tensor]:
    """Propagate a reference frame if identities are given, else from memory."""
    config = model.config
    for number, stage in enumerate(model.stages):
        if isinstance(stage.temporal, IndexedTemporalEmbedding):
            stage.temporal.indices = given.get(f"temporal_indices_{number}")
    if "identities_0" in given:
        propagated = model.propagate(features_of(given), identities=identities_of(config, given))
    else:
        propagated = model.propagate(features_of(given), memory_of(config, given))
    decoded = propagated.embeddings[-1] if config.decode_all_blocks else propagated.embeddings[-1][-1:]
    return {**named_embeddings(decoded), **named_current(propagated.current)}


def _memorize(model: VOSModel, given: Tensors, *, size: tuple[int, int]) -> dict[str, Tensor]:
    """Memorize a frame; only the sizes of its embeddings are read."""
    sizes = map_sizes(model.config, size)
    embeddings = [[given["identities_0"].new_empty(1, 1, *side)] for side in sizes]
    propagated = Propagated(embeddings, current_of(model.config, given))
    return named_memory(model.memorize(propagated, identities_of(model.config, given)))


def _decode(model: VOSModel, given: Tensors) -> dict[str, Tensor]:
    return {"logits": model.decode(Propagated([embeddings_of(given)], []), features_of(given))}


def _add_temporal(model: VOSModel, given: Tensors) -> dict[str, Tensor]:
    """Apply the first stage's temporal embedding, for memory policies that compare queries with keys."""
    temporal = model.stages[0].temporal
    assert isinstance(temporal, IndexedTemporalEmbedding)
    temporal.indices = given["temporal_indices_0"]
    query, key = temporal(given["key_0_0"], given["long_key_0_0"])
    return {"query": query, "key": key}


def build_prompt_graphs(model: VOSModel, video: tuple[int, int]) -> dict[str, Graph]:
    """The two graphs of a model's prompt network.

    ``prompt_encode`` takes ``image`` 1×3×H×W, normalised, and gives the maps; ``prompt_masks`` takes the maps and
    ``planes`` 1×4×H×W of an object in 0 to 1 (see `aotlab.networks.prompts.PLANES`), and gives its ``logits`` 1×1×h×w
    at stride 4.

    Args:
        video: (height, width) of the frames, which the network sees with a longer edge of `SETTINGS.whole_edge`.

    Raises:
        InputError: the model takes no prompts.
    """
    if model.prompts is None:
        raise InputError("this model takes no prompts; export the bundled one, or without prompts")
    model, drawn = _exportable(model), torch.Generator().manual_seed(0)
    size = look_size(video, SETTINGS.whole_edge, align_corners=model.config.align_corners)
    with torch.no_grad():
        encode = _graph(model, _encode_prompted, {"image": torch.rand(1, 3, *size, generator=drawn)})
        planes = {"planes": torch.rand(1, len(PLANES), *size, generator=drawn)}
        segment = _graph(model, _segment, encode.results | planes)
    return dict(zip(NAMES, (encode, segment), strict=True))


def _encode_prompted(model: VOSModel, given: Tensors) -> dict[str, Tensor]:
    assert model.prompts is not None
    return dict(zip(MAPS, model.prompts.encode(given["image"]), strict=True))


def _segment(model: VOSModel, given: Tensors) -> dict[str, Tensor]:
    assert model.prompts is not None
    return {"logits": model.prompts([given[name] for name in MAPS], given["planes"])}
