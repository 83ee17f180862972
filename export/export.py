"""Export of a model: its graphs as ONNX files, their weights in one file, described by ``export.json``."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.ops import aten

from aotlab.configs.protocol import bound_memory
from aotlab.configs.schema import ComputeConfig, Config, MemoryConfig, RulesConfig
from aotlab.export.clip import Clip
from aotlab.export.files import DESCRIPTION_FILE, WEIGHTS_FILE, SharedWeights, new_export_folder
from aotlab.export.graphs import PROMPTING, Graph, build_graphs, build_prompt_graph
from aotlab.export.quantize import QUANTIZED_GRAPHS, quantize, record_inputs
from aotlab.export.resize import resize_antialiased
from aotlab.networks.model import VOSModel
from aotlab.networks.preprocess import network_size
from aotlab.prompting.prompt_network import PromptNetwork
from aotlab.utils.errors import require
from aotlab.utils.files import sha256
from aotlab.utils.versioned_files import FileKind, wrap

if TYPE_CHECKING:
    import onnx

log = logging.getLogger(__name__)

MAX_CONSTANT_ELEMENTS = 4096
"""Do not fold constants larger than this; compute them at load time."""
EXPORT = FileKind("export", 16, "export again")
EXPORTED_POLICIES = ("bounded_fifo", "rmem")
ONNX_PACKAGES = ("onnx", "onnxscript")
"""Packages that write ONNX files."""


def resolve_export_config(config: Config) -> Config:
    """Return the settings of an export: float32, no rules, and a memory of at most ``memory.frames`` frames.

    `bound_memory` replaces policies without a bound. Masks stay the same until that many frames are stored.
    """
    memory = bound_memory(config.memory)
    require(
        memory.policy in EXPORTED_POLICIES,
        "cannot be exported",
        subject=f"memory.policy {memory.policy}",
        remedy="use memory.policy=bounded_fifo memory.frames=4",
    )
    require(memory.frames > 1, "cannot be exported", subject=f"memory.frames {memory.frames}", remedy="use at least 2")
    require(
        memory.short_term_frames == 1,
        "cannot be exported",
        subject=f"memory.short_term_frames {memory.short_term_frames}",
        remedy="use 1",
    )
    return config.replace(
        memory=memory,
        compute=ComputeConfig(),
        input=config.input.replace(min_object=None),
        rules=RulesConfig(),
    )


@dataclass(frozen=True)
class ExportOptions:
    """Content and precision of an export."""

    half: bool = False
    """Store weights in float16; the graphs compute in float32."""
    calibration: Clip = ()
    """Clip that gives the ranges of int8, see `quantize`; empty for float32."""
    fused: bool = False
    """Compute attention with an operator of onnxruntime, faster and in half the memory; other runtimes lack it."""
    quantize_encoder: bool = False
    """Quantize ``encode`` too."""


def export_model(
    model: VOSModel,
    config: Config,
    folder: Path,
    options: ExportOptions = ExportOptions(),
    *,
    frame_size: tuple[int, int],
    prompts: PromptNetwork | None = None,
    force: bool = False,
    check: Callable[[Path], None] | None = None,
) -> None:
    """Write a model's graphs, their weights and ``export.json``.

    Args:
        config: ``memory.frames`` bounds long-term memory.
        folder: folder to create, or an empty one.
        frame_size: (height, width) of the frames in pixels, from which the network's input size follows.
        prompts: network to export too, which makes masks from prompts.
        force: replace an earlier export in ``folder``.
        check: called with the complete export before it is moved to ``folder``; an error keeps it from being moved.
    """
    config = resolve_export_config(config)
    size = network_size(frame_size, config.input, align_corners=config.model.align_corners)
    with new_export_folder(folder.resolve(), force=force) as temporary:
        graphs = build_graphs(model, size, config.memory, fused=options.fused)
        if prompts is not None:
            graphs["prompt"] = build_prompt_graph(prompts)
        protos: dict[str, onnx.ModelProto] = {}
        for name, graph in graphs.items():
            log.info("converting %s.onnx, graph %d of %d", name, len(protos) + 1, len(graphs))
            protos[name] = convert_to_onnx(graph)
        if options.calibration:
            names = (*QUANTIZED_GRAPHS, "encode") if options.quantize_encoder else QUANTIZED_GRAPHS
            with tempfile.TemporaryDirectory() as float32_export:
                _write_graphs(Path(float32_export), deepcopy(protos), size, config, prompts, half=False)
                inputs = record_inputs(Path(float32_export), names, options.calibration)
            protos |= {name: quantize(protos[name], inputs[name]) for name in names}
        _write_graphs(temporary, protos, size, config, prompts, half=options.half)
        if check is not None:
            check(temporary)


def _write_graphs(
    folder: Path,
    protos: dict[str, onnx.ModelProto],
    size: tuple[int, int],
    config: Config,
    prompts: PromptNetwork | None,
    *,
    half: bool,
) -> None:
    """Write graphs, whose weights are moved, and ``export.json``."""
    with (folder / WEIGHTS_FILE).open("wb") as weights:
        shared = SharedWeights(weights, half=half)
        for name, proto in protos.items():
            shared.move(proto)
            (folder / f"{name}.onnx").write_bytes(proto.SerializeToString())
    content = {
        "name": config.name,
        "network_size": size,
        "max_objects": config.model.max_objects,
        "stride": config.model.stages[0].stride,
        "confidence_temperature": config.confidence_temperature,
        "memory": describe_memory(config.memory),
        "prompting": None if prompts is None else {**PROMPTING, "align_corners": prompts.config.align_corners},
        "sha256": {path.name: sha256(path) for path in sorted(folder.iterdir())},
    }
    (folder / DESCRIPTION_FILE).write_text(json.dumps(wrap(EXPORT, content), indent=1), encoding="utf-8")


def describe_memory(memory: MemoryConfig) -> dict[str, Any]:
    """Return the settings of ``MemorySettings`` in ``aotlab-runtime``."""
    has_limit = memory.policy == "bounded_fifo" and memory.max_tracked is not None
    return {
        "policy": memory.policy,
        "frames": memory.frames,
        "every": memory.every,
        "max_tracked": memory.max_tracked if has_limit else memory.frames,
        "max_stored": memory.max_stored,
        "score_early": memory.score_early,
        "short_term_lag": memory.short_term_lag,
    }


def convert_to_onnx(graph: Graph) -> onnx.ModelProto:
    """Convert a graph, with the names of its inputs and outputs."""
    from onnxscript.optimizer import optimize

    args, shapes = tuple(graph.inputs.values()), (tuple(graph.axes.get(name) for name in graph.inputs),)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "# The axis name", UserWarning)
        program = torch.export.export(graph, args, dynamic_shapes=shapes, strict=False)
        antialiased = aten._upsample_bilinear2d_aa.vec
        if any(node.target == antialiased for node in program.graph.nodes):
            program = program.run_decompositions({antialiased: resize_antialiased})
        converted = torch.onnx.export(
            program, args=args, dynamic_shapes=shapes, dynamo=True, verbose=False, optimize=False
        )
    assert converted is not None
    optimize(converted.model, output_size_limit=MAX_CONSTANT_ELEMENTS)
    inputs, outputs = converted.model.graph.inputs, converted.model.graph.outputs
    for values, names in ((inputs, graph.inputs), (outputs, graph.outputs)):
        for value, name in zip(values, names, strict=True):
            value.name = name
    # onnxruntime's OpenVINO provider confuses the inputs of a graph that does not use all of them
    inputs[:] = [value for value in inputs if value.uses() or value.is_graph_output()]
    return converted.model_proto
