"""A model as ONNX graphs: one file per method, described by ``export.yaml``.

propagate on a reference frame, which reads no memory, is a separate graph. All shapes are fixed but one axis: long-term
memory holds a varying number of frames, so attention needs no mask and is exact. Tensors have names:
``memory_0_1_long_key`` is the key of long-term memory of stage 0, block 1.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from aotlab.configs.schema import BOUNDED_POLICIES, ComputeConfig, Config, ModelConfig
from aotlab.engine.prompting.network import FRAME_EDGE, crop_input_size
from aotlab.networks.aot import LSTTState
from aotlab.networks.attention import LocalAttention
from aotlab.networks.deaot import GPMState
from aotlab.networks.fast.local_attention import TiledLocalAttention
from aotlab.networks.model import BlockMemory, Features, KeyValue, PropagatedFrame, VOSModel
from aotlab.networks.preprocess import network_size
from aotlab.networks.prompts import PLANES
from aotlab.networks.rmem import RecurrentState, TemporalEmbedding, temporal_slots_by_age
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, make_folder, remove, require_writable, sha256
from aotlab.utils.locks import LOCK_SUFFIX, locked, remove_leftovers
from aotlab.utils.versioned_json import FileKind, wrap

DESCRIPTION_FILE = "export.yaml"
EXPORT = FileKind("export", 4, "export again")
EXPORT_PACKAGES = ("onnx", "onnxscript")
"""packages that write ONNX files"""
REFERENCE_FRAMES_ONLY = 2**31 - 1
"""interval in frames between additions to long-term memory if only reference frames are stored"""
EXAMPLE_FRAMES = 2
"""number of long-term frames that propagate is traced with; 1 would become a constant"""
MAPS = Features._fields
"""feature maps by stride, and the last one projected"""
PROMPT_GRAPHS = ("prompt_encode", "prompt_masks")

Tensors = Mapping[str, Tensor]
Method = Callable[[VOSModel, Tensors], dict[str, Tensor]]


@dataclass(frozen=True)
class Description:
    """Content of ``export.yaml``."""

    video_size: list[int]
    """[height, width] of the video's frames"""
    network_size: list[int]
    """[height, width] of the resized frames"""
    groups: int
    """number of groups of objects in a batch"""
    heads: int
    """heads of long-term attention in the first block, for memory policies that need relevance"""
    sha256: dict[str, str]
    """digest of each graph's file, by the graph's name"""
    config: Config
    """settings of the model and its memory"""


def resolve_export_config(config: Config) -> Config:
    """Return the settings of graphs: float32, one size of frames, and a memory of at most ``memory.frames``.

    ``first_frame`` becomes a ``bounded_fifo`` that stores reference frames only, the same for up to that many masks.

    Raises:
        InputError: a policy without a bound, no room for a later mask, or several frames of short-term memory.
    """
    memory = config.memory
    if memory.policy not in (*BOUNDED_POLICIES, "first_frame"):
        raise InputError(
            f"memory.policy {memory.policy}: keeps all frames, but the memory of exported graphs is bounded; "
            "add memory.policy=bounded_fifo memory.frames=4"
        )
    for name, value, fits, advice in (
        ("frames", memory.frames, memory.frames > 1, "give at least 2, for the first mask and a later one"),
        ("short_term_frames", memory.short_term_frames, memory.short_term_frames == 1, "give 1"),
    ):
        if not fits:
            raise InputError(f"memory.{name} {value}: not in exported graphs; {advice}")
    if memory.policy == "first_frame":
        memory = replace(memory, policy="bounded_fifo", every=REFERENCE_FRAMES_ONLY)
    return replace(
        config,
        memory=memory,
        compute=ComputeConfig(),
        input=replace(config.input, min_object=None, window=False),
    )


def flatten_tensors(prefix: str, values: Any) -> dict[str, Tensor]:
    """Name the tensors in nested lists and named tuples: ``PREFIX_0_1_long_key``; empty ones and None are left out."""
    if values is None or isinstance(values, Tensor):
        return {prefix: values} if values is not None and values.numel() else {}
    parts = values._asdict().items() if hasattr(values, "_asdict") else enumerate(values)
    return {
        name: x for part, value in parts for name, x in flatten_tensors(f"{prefix}_{part}", value).items()
    }


def unflatten_tensors(prefix: str, template: Any, tensors: Tensors) -> Any:
    """Invert `flatten_tensors`; ``template`` has the structure, with None in place of tensors."""
    if template is None:
        return tensors.get(prefix)
    tuples = hasattr(template, "_asdict")
    parts = template._asdict().items() if tuples else enumerate(template)
    values = [unflatten_tensors(f"{prefix}_{part}", value, tensors) for part, value in parts]
    return type(template)(*values) if tuples else values


STATES: dict[str, Any] = {
    "lstt": LSTTState, "lstt_recurrent": RecurrentState, "gpm": GPMState, "aost": KeyValue, "pyramid": KeyValue,
}  # fmt: skip
"""type of a block's state, by block"""


def unflatten_results(kind: str, config: ModelConfig, tensors: Tensors) -> Any:
    """Return ``features``, ``identities``, ``states`` or ``memory`` of a model among named tensors."""

    def empty(fields: Any) -> Any:
        return fields(*[None] * len(fields._fields))

    state, depths = empty(STATES[config.stages[0].block]), [depth for depth in config.depths if depth]
    templates: dict[str, Any] = {
        "features": empty(Features),
        "identities": [None] * len(depths),
        "states": [[state] * depth for depth in depths],
        "memory": [[BlockMemory(empty(KeyValue), empty(KeyValue))] * depth for depth in depths],
    }
    return unflatten_tensors(kind, templates[kind], tensors)


def list_embeddings(tensors: Tensors) -> list[Tensor]:
    """Return the embeddings to decode, in order."""
    return [tensor for name, tensor in tensors.items() if name.startswith("embeddings_")]


def map_sizes(config: ModelConfig, size: Sequence[int]) -> list[tuple[int, int]]:
    """Return (height, width) in tokens of each stage's map for an input of (height, width) pixels."""
    return [(-(-size[0] // stage.stride), -(-size[1] // stage.stride)) for stage in config.stages]


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


def _encode(model: VOSModel, tensors: Tensors) -> dict[str, Tensor]:
    return flatten_tensors("features", model.encode(tensors["image"]))


def _assign_identities(model: VOSModel, tensors: Tensors) -> dict[str, Tensor]:
    return flatten_tensors("identities", model.assign_identities(tensors["masks"]))


def _propagate(model: VOSModel, tensors: Tensors) -> dict[str, Tensor]:
    """Propagate a reference frame if identities are given, else from memory."""
    config = model.config
    temporal = getattr(model, "temporal", None)
    if isinstance(temporal, IndexedTemporalEmbedding):
        temporal.indices = tensors.get("temporal_indices")
    features = unflatten_results("features", config, tensors)
    if "identities_0" in tensors:
        propagated = model.propagate(features, id_embeddings=unflatten_results("identities", config, tensors))
    else:
        propagated = model.propagate(features, unflatten_results("memory", config, tensors))
    decoded = propagated.embeddings[-1] if config.decode_all_blocks else propagated.embeddings[-1][-1:]
    return flatten_tensors("embeddings", decoded) | flatten_tensors("states", propagated.states)


def _memorize(model: VOSModel, tensors: Tensors, *, size: tuple[int, int]) -> dict[str, Tensor]:
    """Memorize a frame; only the sizes of its embeddings are read."""
    config = model.config
    embeddings = [[torch.empty(1, 1, *side)] for side in map_sizes(config, size)]
    propagated = PropagatedFrame(embeddings, unflatten_results("states", config, tensors))
    identities = unflatten_results("identities", config, tensors)
    return flatten_tensors("memory", model.memorize(propagated, identities))


def _decode(model: VOSModel, tensors: Tensors) -> dict[str, Tensor]:
    features = unflatten_results("features", model.config, tensors)
    return {"logits": model.decode(PropagatedFrame([list_embeddings(tensors)], []), features)}


def _add_temporal(model: VOSModel, tensors: Tensors) -> dict[str, Tensor]:
    """Apply the temporal embedding, for memory policies that compare queries with keys."""
    temporal: Any = model.temporal
    temporal.indices = tensors["temporal_indices"]
    query, key = model.add_temporal(tensors["states_0_0_key"], tensors["memory_0_0_long_key"])
    return {"query": query, "key": key}


def _encode_prompt_frame(model: VOSModel, tensors: Tensors) -> dict[str, Tensor]:
    assert model.prompts is not None
    return dict(zip(MAPS, model.prompts.encode(tensors["image"]), strict=True))  # type: ignore[operator]


def _segment_prompts(model: VOSModel, tensors: Tensors) -> dict[str, Tensor]:
    assert model.prompts is not None
    return {"logits": model.prompts([tensors[name] for name in MAPS], tensors["planes"])}


class Graph(nn.Module):
    """A method of a model with named inputs and outputs in a fixed order."""

    def __init__(self, model: VOSModel, method: Method, examples: dict[str, Tensor]) -> None:
        """Run the method on example inputs; `results` holds what it returns."""
        super().__init__()
        self.model, self.method, self.examples = model, method, examples
        self.results = method(model, examples)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Take inputs in the order of `examples`; return outputs in the order of `results`."""
        results = self.method(self.model, dict(zip(self.examples, tensors, strict=True)))
        return tuple(results.values())


def build_graphs(model: VOSModel, size: tuple[int, int], groups: int) -> dict[str, Graph]:
    """Build the graphs of a model, by name.

    Every method runs once, to make the examples and to fill caches with real values.

    Args:
        size: (height, width) of the network's input in pixels.
        groups: number of groups of objects in a batch.
    """
    model, images = _copy_exportable(model), torch.Generator().manual_seed(0)
    strides = sorted({stage.stride for stage in model.config.stages[1:]})
    with torch.no_grad():
        encode = Graph(model, _encode, {"image": torch.rand(1, 3, *size, generator=images)})
        masks = torch.rand(groups, model.config.max_objects + 1, *size, generator=images)
        identify = Graph(model, _assign_identities, {"masks": masks})
        features = encode.results
        read = ["features_projected", *(f"features_f{stride}" for stride in strides)]
        maps = {name: features[name] for name in read}
        reference = Graph(model, _propagate, maps | identify.results)
        states = {name: x for name, x in reference.results.items() if name.startswith("states_")}
        memorize = Graph(model, partial(_memorize, size=size), states | identify.results)
        memory = {
            name: x.repeat(1, EXAMPLE_FRAMES if "_long_" in name else 1, 1)
            for name, x in memorize.results.items()
        }
        slots = model.config.stages[0].temporal_slots
        if slots:
            memory["temporal_indices"] = temporal_slots_by_age(EXAMPLE_FRAMES, slots)
        propagate = Graph(model, _propagate, maps | memory)
        decoded = {name: x for name, x in reference.results.items() if name not in states}
        refined = {name: features[name] for name in list(features)[:3] if not strides}
        decode = Graph(model, _decode, decoded | refined)
        graphs = {
            "encode": encode, "assign_identities": identify, "reference": reference, "propagate": propagate,
            "memorize": memorize, "decode": decode,
        }  # fmt: skip
        if slots:
            compared = {name: memory[name] for name in ("memory_0_0_long_key", "temporal_indices")}
            key = {"states_0_0_key": states["states_0_0_key"]}
            graphs["add_temporal"] = Graph(model, _add_temporal, key | compared)
    return graphs


def build_prompt_graphs(model: VOSModel, video: tuple[int, int]) -> dict[str, Graph]:
    """Build the two graphs of a model's prompt network.

    ``prompt_encode`` takes ``image`` 1×3×H×W, normalised, and gives the maps; ``prompt_masks`` takes the maps and
    ``planes`` 1×4×H×W of an object in 0 to 1 (see `aotlab.networks.prompts.PLANES`), and gives its ``logits`` 1×1×h×w
    at stride 4.

    Args:
        video: (height, width) of the frames, which the network sees with a longer edge of the prompt network.

    Raises:
        InputError: the model takes no prompts.
    """
    if model.prompts is None:
        raise InputError("this model takes no prompts; export the bundled one, or without prompts")
    model, images = _copy_exportable(model), torch.Generator().manual_seed(0)
    size = crop_input_size(video, FRAME_EDGE, align_corners=model.config.align_corners)
    with torch.no_grad():
        image = {"image": torch.rand(1, 3, *size, generator=images)}
        encode = Graph(model, _encode_prompt_frame, image)
        planes = {"planes": torch.rand(1, len(PLANES), *size, generator=images)}
        segment = Graph(model, _segment_prompts, encode.results | planes)
    return dict(zip(PROMPT_GRAPHS, (encode, segment), strict=True))


def _copy_exportable(model: VOSModel) -> VOSModel:
    """Copy a model for inference: local attention by blocks, the indices of temporal embeddings as an input."""
    model = deepcopy(model).cpu().float().eval().requires_grad_(False)
    for module in model.modules():
        if type(module) is LocalAttention:
            module.__class__ = TiledLocalAttention
    if isinstance(getattr(model, "temporal", None), TemporalEmbedding):
        model.temporal = IndexedTemporalEmbedding(model.temporal)  # type: ignore[arg-type]
    return model


def export_model(
    model: VOSModel,
    config: Config,
    folder: Path,
    *,
    video: tuple[int, int],
    groups: int = 1,
    prompts: bool = False,
    force: bool = False,
) -> Description:
    """Write a model's graphs and ``export.yaml``.

    Args:
        config: ``memory.frames`` bounds long-term memory.
        folder: folder to create; its lock lies beside it.
        video: (height, width) of the frames in pixels.
        groups: number of groups of ``max_objects`` objects in a batch.
        prompts: also write the prompt network, see `build_prompt_graphs`.
        force: replace an earlier export in ``folder``.

    Raises:
        InputError: no prompt network, unbounded memory, missing package, or a folder that cannot be written.
    """
    require_packages(*EXPORT_PACKAGES)
    config = resolve_export_config(config)
    size = network_size(video, config.input, align_corners=config.model.align_corners)
    make_folder(require_writable(folder.parent))
    lock = folder.parent / f".{folder.name}{LOCK_SUFFIX}"
    with locked(lock, 0, subject=folder), _new_folder(folder, force=force) as temporary:
        remove_leftovers(folder.parent, folder.name)
        graphs = build_graphs(model, size, groups)
        if prompts:
            graphs |= build_prompt_graphs(model, video)
        for name, graph in graphs.items():
            _write_onnx(graph, temporary / f"{name}.onnx", config.memory.frames)
        description = Description(
            video_size=list(video), network_size=list(size), groups=groups,
            heads=model.heads, config=config,
            sha256={name: sha256(temporary / f"{name}.onnx") for name in graphs},
        )  # fmt: skip
        content = wrap(EXPORT, asdict(description))
        (temporary / DESCRIPTION_FILE).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return description


def require_packages(*packages: str) -> None:
    """Raise InputError if one of these packages is not installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"ONNX: {' and '.join(missing)} must be installed; pip install 'aotlab[export]'")


@contextmanager
def _new_folder(folder: Path, *, force: bool) -> Iterator[Path]:
    """Yield a temporary folder that is renamed to ``folder`` if the block succeeds."""
    taken = os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir()))
    replaced = force and is_file(folder / DESCRIPTION_FILE)
    if taken and not replaced:
        raise InputError(
            f"output {folder}: exists; choose another folder, or replace an earlier export with --force"
        )
    temporary = folder.parent / f".{folder.name}.{os.getpid()}.part"
    try:
        temporary.mkdir()
        yield temporary
        if replaced:
            remove(folder)
        os.replace(temporary, folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error}); free space") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_onnx(graph: Graph, path: Path, frames: int) -> None:
    """Write a graph with its weights to one file (at most 2 GB), for at most ``frames`` stored frames."""
    stored, args = torch.export.Dim("frames", min=1, max=frames), tuple(graph.examples.values())
    axes: list[dict[int, Any] | None] = []
    for name, example in graph.examples.items():
        axis = 1 if "_long_" in name else 0 if name.startswith("temporal_") else None
        length = 0 if axis is None else example.shape[axis] // EXAMPLE_FRAMES  # of one frame
        axes.append(None if axis is None else {axis: stored if length == 1 else length * stored})
    shapes = (tuple(axes),)
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)  # the exporter reports progress
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(graph, args, dynamic_shapes=shapes, strict=False)
            converted = torch.onnx.export(
                program, args=args, dynamic_shapes=shapes, dynamo=True, verbose=False,
                input_names=list(graph.examples), output_names=list(graph.results),
            )  # fmt: skip
            assert converted is not None
            converted.save(path, external_data=False)
    finally:
        logging.disable(disabled)
