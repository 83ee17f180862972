"""A model as ONNX graphs: one file per method, their weights in one file, described by ``export.json``.

propagate on a reference frame, which reads no memory, is a separate graph. A graph takes one group of objects. The
video's frames have any size, and long-term memory holds a varying number of frames, so attention needs no mask and is
exact; all other shapes are fixed. Tensors have names: ``memory_1_long_key`` is the key of long-term memory of block 1.
Methods that you add can be exported if the states of their blocks are NamedTuples of tensors.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import torch
from torch import Tensor, nn

from aotlab.configs.protocol import bound_memory
from aotlab.configs.schema import ComputeConfig, Config, RulesConfig
from aotlab.engine.prompting.network import CROP_EDGE, FRAME_EDGE, crop_input_size
from aotlab.networks.attention import LocalAttention
from aotlab.networks.fast.local_attention import TiledLocalAttention
from aotlab.networks.model import BlockMemory, Features, KeyValue, PropagatedFrame, VOSModel
from aotlab.networks.preprocess import STRIDE, network_size, normalize
from aotlab.networks.prompts import PLANES
from aotlab.networks.rmem import TemporalEmbedding, TemporalModel, assign_temporal_slots
from aotlab.utils.errors import InputError, require_extra
from aotlab.utils.files import (
    is_file,
    make_folder,
    read_json,
    remove,
    require_writable,
    sha256,
    temporary_name,
)
from aotlab.utils.locks import LOCK_SUFFIX, locked, remove_leftovers
from aotlab.utils.numbers import require
from aotlab.utils.versioned_json import FileKind, wrap

if TYPE_CHECKING:
    import onnx

DESCRIPTION_FILE = "export.json"
WEIGHTS_FILE = "weights.bin"
"""weights of all graphs, each stored once"""
MIN_SHARED_BYTES = 1024
"""smaller constants stay in the graphs"""
MAX_FOLDED = 4096
"""elements of the largest table that is stored; larger ones are computed when a graph is loaded"""
EXPORT = FileKind("export", 6, "export again")
EXPORTED_POLICIES = ("first_frame", "bounded_fifo", "restricted")
EXPORT_PACKAGES = ("onnx", "onnxscript")
"""packages that write ONNX files"""
EXAMPLE_FRAMES = 2
"""number of long-term frames that propagate is traced with; 1 would become a constant"""
EXAMPLE_SIDE = 40
"""height in pixels of the frame that encode is traced with"""
MAPS = Features._fields
"""feature maps by stride, and the last one projected"""

Tensors = Mapping[str, Tensor]
Method = Callable[[VOSModel, Tensors], dict[str, Tensor]]


@dataclass(frozen=True)
class Description:
    """Content of ``export.json``."""

    network_size: list[int]
    """[height, width] of the resized frames"""
    sha256: dict[str, str]
    """digest of each file, by its name"""
    config: Config
    """settings of the model and its memory"""


def resolve_export_config(config: Config) -> Config:
    """Return the settings of graphs: float32, one size, no rules, and a memory of at most ``memory.frames``.

    ``first_frame`` becomes a ``bounded_fifo`` that stores reference frames only, the same for up to that many masks.

    Raises:
        InputError: another policy, no room for a later mask, or several frames of short-term memory.
    """
    memory = config.memory
    if memory.policy not in EXPORTED_POLICIES:
        raise InputError(
            f"memory.policy {memory.policy}: aotlab-runtime has {', '.join(EXPORTED_POLICIES)}; "
            "add memory.policy=bounded_fifo memory.frames=4"
        )
    require(memory.frames > 1, "memory.frames must be at least 2 for exported graphs, got 1")
    require(
        memory.short_term_frames == 1,
        f"memory.short_term_frames must be 1 for exported graphs, got {memory.short_term_frames}",
    )
    return replace(
        config,
        memory=bound_memory(memory),
        compute=ComputeConfig(),
        input=replace(config.input, min_object=None),
        rules=RulesConfig(),
    )


def flatten_tensors(prefix: str, values: Any) -> dict[str, Tensor]:
    """Name the tensors in nested lists, named tuples and dicts: ``PREFIX_1_long_key``; None is left out."""
    if values is None or isinstance(values, Tensor):
        return {} if values is None else {prefix: values}
    if hasattr(values, "_asdict"):
        values = values._asdict()
    parts = values.items() if isinstance(values, dict) else enumerate(values)
    return {
        name: x for part, value in parts for name, x in flatten_tensors(f"{prefix}_{part}", value).items()
    }


def unflatten_list(prefix: str, tensors: Tensors) -> list[Tensor]:
    """Return ``PREFIX_0``, ``PREFIX_1`` and so on."""
    return [tensor for name, tensor in tensors.items() if re.fullmatch(rf"{prefix}_\d+", name)]


def unflatten_states(tensors: Tensors) -> list[dict[str, Tensor]]:
    """Return the fields of each block's state."""
    states: list[dict[str, Tensor]] = []
    for name, tensor in tensors.items():
        if match := re.fullmatch(r"states_(\d+)_(.+)", name):
            states += [{}] * (int(match[1]) + 1 - len(states))
            states[int(match[1])] = states[int(match[1])] | {match[2]: tensor}
    return states


def unflatten_memory(tensors: Tensors) -> list[BlockMemory]:
    """Return the memory of each block."""
    parts = ("long_key", "long_value", "short_key", "short_value")
    blocks = sum(bool(re.fullmatch(r"memory_\d+_long_key", name)) for name in tensors)
    memories = [[tensors[f"memory_{block}_{part}"] for part in parts] for block in range(blocks)]
    return [BlockMemory(KeyValue(*parts[:2]), KeyValue(*parts[2:])) for parts in memories]


def unflatten_features(tensors: Tensors) -> Features:
    """Return an encoded image."""
    return Features(*(tensors[f"features_{name}"] for name in MAPS))


class IndexedTemporalEmbedding(TemporalEmbedding):
    """A `TemporalEmbedding` with its indices as an input, as they depend on the number of frames."""

    indices: Tensor | None = None

    def forward(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Add the embeddings as `TemporalEmbedding.forward` does, of frames `indices` (T int64); None: one frame."""
        added = self.memory[:1] if self.indices is None else self.memory[self.indices]  # T×C
        key = key.unflatten(1, (-1, query.shape[1])) + added[:, None]  # B×T×L×C
        return query + self.query, key.flatten(1, 2)


def _encode(model: VOSModel, tensors: Tensors, *, size: tuple[int, int]) -> dict[str, Tensor]:
    """Encode a frame H×W×3 uint8 of any size."""
    image = resize_bicubic(tensors["frame"].float() / 255, size).permute(2, 0, 1)[None]
    return flatten_tensors("features", model.encode(normalize(image)))


def resize_bicubic(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize an image H×W×3 as ``F.interpolate(mode="bicubic")``, six times as fast in onnxruntime as its Resize."""
    height, width = image.shape[:2]
    rows: Any = sum(w[:, None, None] * image[i] for i, w in _cubic_taps(height, size[0]))
    columns: Any = sum(w[:, None] * rows[:, i] for i, w in _cubic_taps(width, size[1]))
    return columns


def _cubic_taps(source: int, target: int) -> list[tuple[Tensor, Tensor]]:
    """Return indices and weights, ``target`` each, of the four source pixels around each target pixel."""
    places = (torch.arange(target) + 0.5) * (source / target) - 0.5
    taps = []
    for offset in (-1, 0, 1, 2):
        index = places.floor() + offset
        distance = (places - index).abs()
        near = (1.25 * distance - 2.25) * distance**2 + 1
        far = ((3.75 - 0.75 * distance) * distance - 6) * distance + 3
        weight = torch.where(distance <= 1, near, far)
        taps.append((index.long().clamp(min=0).clamp(max=source - 1), weight))
    return taps


def _assign_identities(model: VOSModel, tensors: Tensors) -> dict[str, Tensor]:
    return flatten_tensors("identities", model.assign_identities(tensors["masks"]))


def _propagate(model: VOSModel, tensors: Tensors) -> dict[str, Tensor]:
    """Propagate a reference frame if identities are given, else from memory."""
    _set_temporal_indices(model, tensors)
    features, identities = unflatten_features(tensors), unflatten_list("identities", tensors)
    if identities:
        propagated = model.propagate(features, id_embeddings=identities)
    else:
        propagated = model.propagate(features, unflatten_memory(tensors))
    return flatten_tensors("embeddings", propagated.embeddings) | flatten_tensors("states", propagated.states)


def _memorize(model: VOSModel, tensors: Tensors, *, reference: PropagatedFrame) -> dict[str, Tensor]:
    """Memorize a frame with states of the same types and sizes as those of ``reference``."""
    examples: list[Any] = list(reference.states)
    pairs = zip(examples, unflatten_states(tensors), strict=True)
    states = [type(state)(**{name: fields.get(name) for name in state._fields}) for state, fields in pairs]
    propagated = PropagatedFrame([], states, reference.sizes)
    return flatten_tensors("memory", model.memorize(propagated, unflatten_list("identities", tensors)))


def _decode(model: VOSModel, tensors: Tensors) -> dict[str, Tensor]:
    propagated = PropagatedFrame(unflatten_list("embeddings", tensors), [], [])
    return {"logits": model.decode(propagated, unflatten_features(tensors))}


def _compare(model: VOSModel, tensors: Tensors) -> dict[str, Tensor]:
    """Return queries and keys of the first block, for memory policies."""
    _set_temporal_indices(model, tensors)
    query, key = model.long_attention_inputs(tensors["states_0_key"], tensors["memory_0_long_key"])
    return {"query": query, "key": key}


def _set_temporal_indices(model: VOSModel, tensors: Tensors) -> None:
    if isinstance(model, TemporalModel) and isinstance(model.temporal, IndexedTemporalEmbedding):
        model.temporal.indices = tensors.get("temporal_indices")


def _segment_prompts(model: VOSModel, tensors: Tensors) -> dict[str, Tensor]:
    """Segment an object of an image 1×3×h×w in 0 to 255 from its prompt planes 1×4×h×w."""
    assert model.prompts is not None
    features = model.prompts.encode(normalize(tensors["image"] / 255))  # type: ignore[operator]
    return {"logits": model.prompts(features, tensors["planes"])}


class Graph(nn.Module):
    """A method of a model with named inputs and outputs in a fixed order."""

    def __init__(self, model: VOSModel, method: Method, examples: dict[str, Tensor]) -> None:
        """Run the method on example inputs; `results` holds what it returns."""
        super().__init__()
        self.model, self.method = model, method
        # copies: the exporter gives inputs that share memory symbolic shapes
        self.examples = {name: x.clone() for name, x in examples.items()}
        self.results = method(model, self.examples)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Take inputs in the order of `examples`; return outputs in the order of `results`."""
        results = self.method(self.model, dict(zip(self.examples, tensors, strict=True)))
        return tuple(results.values())


def build_graphs(model: VOSModel, size: tuple[int, int]) -> dict[str, Graph]:
    """Build the graphs of a model, by name, for an input of (height, width) pixels in the network.

    Every method runs once, to make the examples and to fill caches with real values.
    """
    model, images = _copy_exportable(model), torch.Generator().manual_seed(0)
    with torch.no_grad():
        frame = torch.randint(256, (EXAMPLE_SIDE, EXAMPLE_SIDE + 1, 3), dtype=torch.uint8, generator=images)
        encode = Graph(model, partial(_encode, size=size), {"frame": frame})
        masks = torch.rand(1, model.config.max_objects + 1, *size, generator=images)
        identify = Graph(model, _assign_identities, {"masks": masks})
        features, identities = encode.results, unflatten_list("identities", identify.results)
        propagated = model.propagate(unflatten_features(features), id_embeddings=identities)
        assert all(hasattr(state, "_fields") for state in propagated.states), "states must be NamedTuples"
        reference = Graph(model, _propagate, features | identify.results)
        states = {name: x for name, x in reference.results.items() if name.startswith("states_")}
        embeddings = {name: x for name, x in reference.results.items() if name not in states}
        memorize = Graph(model, partial(_memorize, reference=propagated), states | identify.results)
        memory = {
            name: x.repeat(1, EXAMPLE_FRAMES if "_long_" in name else 1, 1)
            for name, x in memorize.results.items()
        }
        slots = model.config.stages[0].temporal_slots
        indices = {"temporal_indices": assign_temporal_slots(EXAMPLE_FRAMES, slots)} if slots else {}
        compared = {name: (states | memory)[name] for name in ("states_0_key", "memory_0_long_key")}
        return {
            "encode": encode,
            "assign_identities": identify,
            "reference": reference,
            "propagate": Graph(model, _propagate, features | memory | indices),
            "memorize": memorize,
            "decode": Graph(model, _decode, embeddings | features),
            "compare": Graph(model, _compare, compared | indices),
        }


def build_prompt_graphs(model: VOSModel, video: tuple[int, int]) -> dict[str, Graph]:
    """Build the graphs of a model's prompt network; none without a network.

    They take ``image`` 1×3×H×W in 0 to 255 and ``planes`` 1×4×H×W of an object in 0 to 1 (see
    `aotlab.networks.prompts.PLANES`), and give its ``logits`` 1×1×h×w at stride 4. ``prompt`` takes every size that
    `crop_input_size` gives; ``prompt_frame`` and ``prompt_crop`` have the sizes of a whole frame and of a square crop,
    for programs in which sizes must be constant.

    Args:
        video: (height, width) of the frames.
    """
    if model.prompts is None:
        return {}
    model, images = _copy_exportable(model), torch.Generator().manual_seed(0)
    graphs = {}
    crops = {
        "prompt": ((3, 4), CROP_EDGE),
        "prompt_frame": (video, FRAME_EDGE),
        "prompt_crop": ((1, 1), CROP_EDGE),
    }
    for name, (crop, edge) in crops.items():
        size = crop_input_size(crop, edge, align_corners=model.config.align_corners)
        image, planes = (torch.rand(1, count, *size, generator=images) for count in (3, len(PLANES)))
        with torch.no_grad():
            graphs[name] = Graph(model, _segment_prompts, {"image": 255 * image, "planes": planes})
    return graphs


class MapLocalAttention(TiledLocalAttention):
    """Local attention on small maps of any size, as those of crops."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor, size: tuple[int, int]) -> Tensor:
        """Read a map's window; see `LocalAttention.forward`."""
        return self._attend_map(query, key, value, size)


def _copy_exportable(model: VOSModel) -> VOSModel:
    """Copy a model for inference: local attention by tiles, the indices of temporal embeddings as an input."""
    model = deepcopy(model).cpu().float().eval().requires_grad_(False)
    for name, module in model.named_modules():
        if type(module) is LocalAttention:
            module.__class__ = MapLocalAttention if name.startswith("prompts.") else TiledLocalAttention
    if isinstance(model, TemporalModel) and model.temporal is not None:
        model.temporal.__class__ = IndexedTemporalEmbedding
    return model


def export_model(
    model: VOSModel,
    config: Config,
    folder: Path,
    *,
    video: tuple[int, int],
    half: bool = False,
    prompts: bool = True,
    force: bool = False,
) -> Description:
    """Write a model's graphs, their weights and ``export.json``.

    Args:
        config: ``memory.frames`` bounds long-term memory.
        folder: folder to create; its lock lies beside it.
        video: (height, width) of the frames in pixels, which decides the network's size.
        half: store weights in float16; the graphs compute in float32.
        prompts: write the prompt network too, if the model has one.
        force: replace an earlier export in ``folder``.

    Raises:
        InputError: another memory policy, missing package, or a folder that cannot be written.
    """
    require_extra("export", *EXPORT_PACKAGES)
    config = resolve_export_config(config)
    size = network_size(video, config.input, align_corners=config.model.align_corners)
    make_folder(require_writable(folder.parent))
    lock = folder.parent / f".{folder.name}{LOCK_SUFFIX}"
    with locked(lock, 0, subject=folder), _new_folder(folder, force=force) as temporary:
        remove_leftovers(folder.parent, folder.name)
        graphs = build_graphs(model, size) | (build_prompt_graphs(model, video) if prompts else {})
        with (temporary / WEIGHTS_FILE).open("wb") as weights:
            shared = SharedWeights(weights, half=half)
            for name, graph in graphs.items():
                proto = _convert_to_onnx(graph, config.memory.frames, any_crop=name == "prompt")
                shared.move(proto)
                (temporary / f"{name}.onnx").write_bytes(proto.SerializeToString())
        files = sorted(path.name for path in temporary.iterdir())
        description = Description(
            network_size=list(size), sha256={name: sha256(temporary / name) for name in files}, config=config
        )
        content = json.dumps(wrap(EXPORT, asdict(description)), indent=1)
        (temporary / DESCRIPTION_FILE).write_text(content, encoding="utf-8")
    return description


@contextmanager
def _new_folder(folder: Path, *, force: bool) -> Iterator[Path]:
    """Yield a temporary folder that is renamed to ``folder`` if the block succeeds."""
    taken = os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir()))
    replaced = force and is_file(folder / DESCRIPTION_FILE)
    if taken and not replaced:
        raise InputError(
            f"output {folder}: exists; choose another folder, or replace an earlier export with --force"
        )
    if replaced:
        description = read_json(folder / DESCRIPTION_FILE, "choose another folder")
        exported = {
            DESCRIPTION_FILE,
            *(description.get("sha256", ()) if isinstance(description, dict) else ()),
        }
        others = sorted({path.name for path in folder.iterdir()} - exported)
        if others:
            raise InputError(
                f"output {folder}: holds {others[0]}, which is not of an export; choose another folder"
            )
    temporary = folder.parent / temporary_name(folder)
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


class SharedWeights:
    """One file for the weights of several graphs, each stored once."""

    def __init__(self, file: BinaryIO, *, half: bool) -> None:
        self._file, self._half = file, half
        self._offsets: dict[bytes, int] = {}  # by digest of the content

    def move(self, proto: onnx.ModelProto) -> None:
        """Move the large constants of a graph to the file, in float16 with a cast before use if so chosen.

        Notes of the exporter, such as stack traces, are dropped: they are most of a graph.
        """
        from onnx import TensorProto, helper, numpy_helper
        from onnx.external_data_helper import set_external_data

        for node in proto.graph.node:
            node.ClearField("metadata_props")
        proto.graph.ClearField("value_info")
        largest = np.finfo(np.float16).max
        for tensor in proto.graph.initializer:
            array = numpy_helper.to_array(tensor)
            if array.nbytes < MIN_SHARED_BYTES:
                continue
            if self._half and array.dtype == np.float32 and np.abs(array).max() <= largest:
                array, used = array.astype(np.float16), tensor.name
                tensor.name, tensor.data_type = f"{used}_half", TensorProto.FLOAT16
                cast = helper.make_node("Cast", [tensor.name], [used], to=TensorProto.FLOAT)
                proto.graph.node.insert(0, cast)
            content = array.tobytes()
            digest = hashlib.sha256(content).digest()
            if digest not in self._offsets:
                self._offsets[digest] = self._file.tell()
                self._file.write(content)
            tensor.raw_data = content
            set_external_data(tensor, WEIGHTS_FILE, self._offsets[digest], len(content))
            tensor.ClearField("raw_data")


def _convert_to_onnx(graph: Graph, frames: int, *, any_crop: bool = False) -> onnx.ModelProto:
    """Convert a graph for at most ``frames`` stored frames; ``any_crop``: for images of any size of a crop."""
    from onnxscript.optimizer import optimize

    stored, args = torch.export.Dim("frames", min=1, max=frames), tuple(graph.examples.values())
    rows, columns = (torch.export.Dim(name, min=2, max=FRAME_EDGE // STRIDE) for name in ("rows", "columns"))
    axes: list[dict[int, Any] | None] = []
    for name, example in graph.examples.items():
        if name == "frame":
            axes.append({0: torch.export.Dim("height"), 1: torch.export.Dim("width")})
            continue
        if any_crop:
            extra = example.shape[2] % STRIDE
            axes.append({2: STRIDE * rows + extra, 3: STRIDE * columns + extra})
            continue
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
                program, args=args, dynamic_shapes=shapes, dynamo=True, verbose=False, optimize=False
            )
            assert converted is not None
            optimize(converted.model, output_size_limit=MAX_FOLDED)
            named = (
                (converted.model.graph.inputs, graph.examples),
                (converted.model.graph.outputs, graph.results),
            )
            for values, names in named:
                for value, name in zip(values, names, strict=True):
                    value.name = name
            return converted.model_proto
    finally:
        logging.disable(disabled)
