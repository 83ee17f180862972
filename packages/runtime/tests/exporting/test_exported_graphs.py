"""Graphs of an export: inputs and operators that other runtimes need, int8, weights stored once."""

import numpy as np
import onnx
import onnxruntime
import pytest

from aotlab.export.export import export_model
from aotlab.export.quantize import QUANTIZED_GRAPHS, quantize, record_inputs
from aotlab_testing.small_model import HEIGHT, WIDTH, build, draw_stripes, draw_texture

pytestmark = pytest.mark.slow  # six graphs are converted; packages/runtime/tests track with such ones


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Folder of an export without a prompt network."""
    folder = tmp_path_factory.mktemp("exports") / "aott"
    model, config = build("aott", "memory.policy=bounded_fifo", "memory.frames=3", "memory.every=1")
    export_model(model, config, folder, frame_size=(HEIGHT, WIDTH))
    return folder


def test_exported_graphs_suit_openvino(exported):
    """OpenVINO confuses inputs if some are unused, drops some Abs, and clamps integers without a bound to 0."""
    for path in exported.glob("*.onnx"):
        graph = onnx.load(path, load_external_data=False).graph
        used = {name for node in graph.node for name in node.input}
        assert {value.name for value in graph.input} <= used, path
        if path.stem == "encode":
            typed = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
            types = {value.name: value.type.tensor_type.elem_type for value in typed.value_info}
            integers = [n for n in graph.node if types.get(n.output[0]) == onnx.TensorProto.INT64]
            assert all(n.op_type not in ("Clip", "Min", "Max") for n in integers)
            assert all(node.op_type != "Abs" for node in graph.node)


@pytest.mark.skipif(
    tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 32),
    reason="onnxruntime before 1.32 does not run products in int8 (docs/howto/export.md)",
)
def test_int8_graphs_are_near_float32(exported, monkeypatch):
    monkeypatch.setattr("aotlab.export.quantize.MIN_WEIGHTS", 1)
    mask = draw_stripes([1, 2])
    names = ("encode", *QUANTIZED_GRAPHS)
    recorded = record_inputs(exported, names, [(frame, mask) for frame in draw_texture(5)])
    for name in names:
        calls = recorded[name]
        path = exported / f"{name}.onnx"
        quantized = quantize(onnx.load(path), calls)
        int8 = {node.output[0] for node in quantized.graph.node if node.op_type == "DequantizeLinear"}
        convolutions = [node for node in quantized.graph.node if node.op_type == "Conv"]
        assert all(set(node.input[:2]) <= int8 for node in convolutions)
        products = [set(node.input) <= int8 for node in quantized.graph.node if node.op_type == "MatMul"]
        assert name != "propagate" or {*products} == {True, False}  # with weights, and in attention
        expected, found = (
            onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
            for model in (path, quantized.SerializeToString())
        )
        inputs = {value.name: calls[-1][value.name] for value in expected.get_inputs()}
        for a, b in zip(expected.run(None, inputs), found.run(None, inputs), strict=True):
            assert np.abs(a - b).mean() < 0.1 * a.std()
