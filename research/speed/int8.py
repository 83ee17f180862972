"""Accuracy and CPU time of an export in int8, by OpenVINO and by onnxruntime, beside PyTorch in float32.

pip install openvino nncf    # in an environment of its own that has aotlab too
ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI OMP_WAIT_POLICY=passive OMP_NUM_THREADS=2 \
    python -m research.speed.int8 EXPORT datasets/DAVIS
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnxruntime

import aotlab_runtime
from aotlab.engine.tracking.tracker import Tracker
from aotlab.evaluation.metrics import region_similarity
from aotlab.media.images import read_image
from aotlab.media.masks import read_mask
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import ExistingPath, PositiveInt, option
from aotlab_runtime.graphs import GRAPHS, Graphs, Tensors

CALIBRATION = {"dog-agility": 8, "train+tennis": 8}
"""every second frame of these sequences, as many"""
CLIPS = ("motorbike", "hockey+rollerblade", "drift-turn")
WARM_UP = 2
"""first frames of a clip without a time"""
INT8 = {
    "decode": ("decode",),
    "decode, propagate": ("decode", "propagate"),
    "all": ("encode", "decode", "propagate"),
}
"""graphs in int8; attention's products are float32 in all"""
OVERRIDES = (
    "compute.precision=float32",
    "rules.cuts=false",
    "rules.ownership=false",
    "input.min_object=null",
)
"""settings of `aotlab.Tracker` that compute as the graphs do"""
Run = Callable[[Tensors], Tensors]


class MixedGraphs(Graphs):
    """Graphs some of which another engine runs."""

    def __init__(self, base: Graphs, runs: dict[str, Run]) -> None:
        """``runs``: functions of named tensors by name of the graph; ``base`` runs the others."""
        self.__dict__.update(base.__dict__)
        self.runs = runs

    def run(self, name: str, tensors: Tensors) -> Tensors:
        """Return the named outputs of a graph."""
        return self.runs[name](tensors) if name in self.runs else super().run(name, tensors)


def open_openvino(model: Any, threads: int) -> Run:
    """Return a function that runs a model of OpenVINO, or an ONNX file, in float32 where it is not quantized."""
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(model, "CPU", settings)

    def run(tensors: Tensors) -> Tensors:
        results = compiled(
            {port.any_name: np.ascontiguousarray(tensors[port.any_name]) for port in compiled.inputs}
        )
        return {port.any_name: results[port].copy() for port in compiled.outputs}

    return run


def quantize_openvino(path: Path, inputs: list[Tensors]) -> Any:
    """Return a graph with int8 products and convolutions (NNCF), by recorded inputs."""
    import nncf
    import openvino

    def is_weight(node: Any) -> bool:
        reached = node.get_type_name() == "Constant"
        return reached or (
            node.get_type_name() in ("Convert", "Transpose") and is_weight(node.input_value(0).get_node())
        )

    model = openvino.Core().read_model(path)
    attention = [
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() == "MatMul"
        and not any(is_weight(value.get_node()) for value in node.input_values())
    ]
    return nncf.quantize(
        model,
        nncf.Dataset(inputs),
        preset=nncf.QuantizationPreset.PERFORMANCE,
        ignored_scope=nncf.IgnoredScope(names=attention),
        model_type=nncf.ModelType.TRANSFORMER if path.stem == "propagate" else None,
    )


def open_onnxruntime(path: Path, threads: int) -> Run:
    """Return a function that runs an ONNX file without threads that wait busily."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_outputs()]

    def run(tensors: Tensors) -> Tensors:
        inputs = {node.name: np.ascontiguousarray(tensors[node.name]) for node in session.get_inputs()}
        return dict(zip(names, session.run(names, inputs), strict=True))

    return run


def quantize_onnxruntime(path: Path, inputs: list[Tensors], output: Path) -> Path:
    """Write a graph with int8 products and convolutions (QDQ, weights per channel), by recorded inputs."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = iter(inputs)

        def get_next(self) -> Any:
            return next(self.rest, None)

    graph = onnx.load(path, load_external_data=False).graph
    weights = {tensor.name for tensor in graph.initializer}
    attention = [n.name for n in graph.node if n.op_type == "MatMul" and not weights & set(n.input)]
    quantize_static(
        path, output, Reader(), per_channel=True, op_types_to_quantize=["Conv", "MatMul", "Gemm"],
        nodes_to_exclude=attention,
    )  # fmt: skip
    return output


def read_clip(root: Path, name: str, frames: int, step: int = 1) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the first frames of a sequence with their masks."""
    files = sorted((root / "JPEGImages/480p" / name).glob("*.jpg"))[: frames * step : step]
    folder = root / "Annotations/480p" / name
    return [(read_image(file), read_mask(folder / f"{file.stem}.png")) for file in files]


def record_inputs(graphs: Graphs, root: Path) -> dict[str, list[Tensors]]:
    """Return the inputs of the quantized graphs while the calibration clips are tracked."""
    recorded: dict[str, list[Tensors]] = {name: [] for name in INT8["all"]}

    def record(name: str, tensors: Tensors) -> Tensors:
        used = (node.name for node in graphs._sessions[name].get_inputs())
        recorded[name].append({key: tensors[key].copy() for key in used})
        return graphs.run(name, tensors)

    runs: dict[str, Run] = {name: lambda tensors, name=name: record(name, tensors) for name in recorded}  # type: ignore[misc]
    for name, frames in CALIBRATION.items():
        tracker = aotlab_runtime.Tracker(MixedGraphs(graphs, runs))
        for index, (frame, mask) in enumerate(read_clip(root, name, frames, step=2)):
            tracker.step(frame, None if index else mask)
    return recorded


def build_trackers(export: Path, root: Path, threads: int, folder: Path) -> dict[str, Any]:
    """Return the compared trackers by name, PyTorch in float32 first."""
    base = Graphs(export, threads=threads)
    files = {
        path.stem: path for path in export.glob("*.onnx") if path.stem in GRAPHS and path.stem != "prompt"
    }
    recorded = record_inputs(base, root)
    vino = {name: open_openvino(path, threads) for name, path in files.items()}
    onnx = {name: open_onnxruntime(path, threads) for name, path in files.items()}
    vino8 = {
        name: open_openvino(quantize_openvino(files[name], recorded[name]), threads) for name in INT8["all"]
    }
    onnx8 = {
        name: open_onnxruntime(
            quantize_onnxruntime(files[name], recorded[name], folder / f"{name}.onnx"), threads
        )
        for name in INT8["decode, propagate"]
    }
    trackers: dict[str, Any] = {"PyTorch, float32": Tracker.from_pretrained(overrides=OVERRIDES)}
    for engine, plain, int8 in (("onnxruntime", onnx, onnx8), ("OpenVINO", vino, vino8)):
        trackers[f"{engine}, float32"] = aotlab_runtime.Tracker(MixedGraphs(base, plain))
        for label, names in INT8.items():
            if set(names) <= set(int8):
                runs = plain | {name: int8[name] for name in names}
                trackers[f"{engine}, int8: {label}"] = aotlab_runtime.Tracker(MixedGraphs(base, runs))
    return trackers


def draw_objects(shape: tuple[int, ...], count: int) -> np.ndarray:
    """Draw a mask of rectangles beside each other."""
    mask = np.zeros(shape, np.uint8)
    edges = np.linspace(0, shape[1], count + 1).astype(int)
    for object_id, (left, right) in enumerate(pairwise(edges), 1):
        mask[shape[0] // 3 : 2 * shape[0] // 3, left + 20 : right - 20] = object_id
    return mask


def compare(
    trackers: dict[str, Any], clips: list[list[tuple[np.ndarray, np.ndarray]]], objects: int | None
) -> None:
    """Track clips with all trackers in turn, frame by frame, and print a row for each; ``objects``: drawn ones."""
    first = next(iter(trackers))
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in trackers}
    scores: dict[str, list[list[float]]] = {name: [] for name in trackers}
    for clip in clips:
        mask = draw_objects(clip[0][1].shape, objects) if objects else clip[0][1]
        ids = [object_id for object_id in np.unique(mask) if object_id]
        found: dict[str, list[np.ndarray]] = {name: [] for name in trackers}
        for tracker in trackers.values():
            tracker.reset()
        for index, (frame, _) in enumerate(clip):
            for name, tracker in trackers.items():
                cpu, wall = time.process_time(), time.perf_counter()
                found[name].append(np.asarray(tracker.step(frame, None if index else mask).labels))
                if index >= WARM_UP:
                    spent[name].append((time.process_time() - cpu, time.perf_counter() - wall))
        for name, labels in found.items():
            truth = found[first] if objects else [annotation for _, annotation in clip]
            scores[name].extend(
                [
                    region_similarity(truth[index] == i, labels[index] == i)
                    for index in range(1, len(clip) - 1)
                ]
                for i in ids
            )
    base = np.sum(spent[first], axis=0)
    for name, seconds in spent.items():
        (cpu, wall), (cpu_share, wall_share) = np.median(seconds, axis=0), np.sum(seconds, axis=0) / base
        score = 100 * np.mean([np.mean(each) for each in scores[name]])
        print(
            f"| {name} | {cpu:.2f} s, {cpu_share:.2f} | {wall:.2f} s, {wall_share:.2f} | {score:.1f} |",
            flush=True,
        )


@command("python -m research.speed.int8", "Accuracy and CPU time of int8 graphs.")
@click.argument("export", type=ExistingPath, help="output of aotlab export, of the bundled model")
@click.argument("root", type=ExistingPath, help="folder of DAVIS")
@option("--frames", type=PositiveInt, default=12, help="frames of each clip (default: 12)")
@option("--threads", type=PositiveInt, default=2, help="threads (default: 2)")
def main(*, export: Path, root: Path, frames: int, threads: int) -> int:
    """Print a table of the clips' objects with J, and one of five drawn objects with J against PyTorch's masks."""
    import torch

    torch.set_num_threads(threads)
    clips = [read_clip(root, name, frames) for name in CLIPS]
    with tempfile.TemporaryDirectory() as folder:
        trackers = build_trackers(export, root, threads, Path(folder))
        print(f"ISA {os.environ.get('ONEDNN_MAX_CPU_ISA', 'all')}, {threads} threads; CPU time, wall time, J")
        compare(trackers, clips, None)
        print("five drawn objects; J beside PyTorch's masks")
        compare(trackers, clips[:1], 5)
    return 0


if __name__ == "__main__":
    sys.exit(main())
