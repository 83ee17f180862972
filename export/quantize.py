"""Quantization of convolutions and linear layers to int8, calibrated on a tracked clip."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aotlab.export.clip import CALIBRATION_FRAMES, Clip
from aotlab.export.verify import translate_errors

if TYPE_CHECKING:
    import onnx

QUANTIZED_GRAPHS = ("assign_identities", "propagate", "memorize", "decode")
"""Graphs in int8; ``encode`` is optional, because it loses accuracy on objects unlike those of the calibration."""
OPERATORS = ("Conv", "MatMul", "Gemm")
MIN_WEIGHTS = 50_000
"""Operators with fewer weights stay float32, which is as fast for them."""


@translate_errors()
def record_inputs(folder: Path, names: Sequence[str], clip: Clip) -> dict[str, list[dict[str, np.ndarray]]]:
    """Track a clip with an export; return the inputs of every call of the graphs ``names``, by graph."""
    from aotlab_runtime import Tracker
    from aotlab_runtime.graphs import Graphs

    inputs: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in names}

    class RecordedGraphs(Graphs):
        def run(self, name: str, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            if name in inputs:
                inputs[name].append(tensors)
            return super().run(name, tensors)

    tracker = Tracker(RecordedGraphs(folder))
    for index, (frame, mask) in enumerate(clip[:CALIBRATION_FRAMES]):
        tracker.step(frame, None if index else mask)
    return inputs


def quantize(proto: onnx.ModelProto, inputs: Sequence[dict[str, np.ndarray]]) -> onnx.ModelProto:
    """Return a graph with int8 weights per channel and uint8 inputs; operators with few weights remain float32.

    ``proto`` is changed. ``inputs``: tensors of each call by name.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    sizes = {tensor.name: math.prod(tensor.dims) for tensor in proto.graph.initializer}
    small_nodes = [
        node.name
        for node in proto.graph.node
        if max((sizes.get(name, 0) for name in node.input), default=0) < MIN_WEIGHTS
    ]
    names = [value.name for value in proto.graph.input]
    calls = iter({name: np.ascontiguousarray(tensors[name]) for name in names} for tensors in inputs)

    class Calls(CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(calls, None)

    add_pre_process_metadata(proto)  # the exporter has optimized it
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "int8.onnx")
        quantize_static(
            proto,
            path,
            Calls(),
            per_channel=True,
            reduce_range=True,  # CPUs without VNNI add pairs of products of 8 bits in 16 bits, which overflows
            activation_type=QuantType.QUInt8,  # onnxruntime leaves some products with int8 inputs in float32
            op_types_to_quantize=OPERATORS,
            nodes_to_exclude=small_nodes,
        )
        return onnx.load(path)
