"""Export without running it: bounded memory, exact replacements, whole folders; the runtime's tests run an export."""

import json
import math
import os
import re
import tempfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torchvision.ops import FrozenBatchNorm2d

import aotlab_runtime
from aotlab.configs.files import ROOT
from aotlab.configs.load import load_config
from aotlab.configs.protocol import apply_protocol
from aotlab.engine.tracking.tracker import Tracker
from aotlab.export import export, graphs
from aotlab.export.export import ExportOptions, export_model, resolve_export_config
from aotlab.export.files import WEIGHTS_FILE, SharedWeights
from aotlab.export.quantize import QUANTIZED_GRAPHS
from aotlab.export.resize import resize_bicubic
from aotlab.export.verify import require_agreement, verify_export
from aotlab.networks.attention import Attention, LocalAttention
from aotlab.networks.build import build_model
from aotlab.networks.fast.attention import fused_attention, tiled_local_attention
from aotlab.utils.errors import InputError, RunStopped
from aotlab_testing.limits import drop_root
from aotlab_testing.marks import needs_all_packages, needs_posix
from aotlab_testing.small_model import (
    HEIGHT,
    WIDTH,
    assert_same,
    assert_same_weights,
    build,
    build_prompts,
    draw_stripes,
    draw_texture,
    run_tracker,
)

FRAME_SIZE = (HEIGHT, WIDTH)


@pytest.mark.parametrize("size", [(33, 49), (20, 30), (70, 65), (33, 200)])
def test_resizing_in_the_graph_equals_pytorch(size):
    frame = torch.from_numpy(draw_texture(1)[0]).permute(2, 0, 1).float()
    (expected,) = F.interpolate(frame[None], size, mode="bicubic")
    # values up to 255 in float32, weights computed in another order
    torch.testing.assert_close(resize_bicubic(frame, size), expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("size", [(25, 29), (33, 26)])  # larger maps than windows, so by tiles
@pytest.mark.parametrize("relative_value", [True, False])
def test_exportable_local_attention_is_exact(size, relative_value, frames, monkeypatch):
    torch.manual_seed(0)
    attention = LocalAttention(8, 2, 7, relative_value=relative_value).requires_grad_(False)
    attention.kernel = tiled_local_attention
    for parameter in attention.parameters():
        parameter.normal_()
    length = size[0] * size[1]
    query, key, value = (torch.randn(3, count * length, 8) for count in (1, frames, frames))
    expected = attention(query, key, value, size)
    for state in ("is_compiling", "is_exporting"):
        monkeypatch.setattr(torch.compiler, state, lambda: True)
    torch.testing.assert_close(attention(query, key, value, size), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("fused", [False, True])
def test_attention_is_fused_on_request(fused):
    """Only onnxruntime has the operator."""
    model, config = build("aott")
    made = graphs.build_graphs(model, FRAME_SIZE, config.memory, fused=fused)["propagate"].model
    kernels = {module.kernel for module in made.modules() if isinstance(module, Attention)}
    assert (kernels == {fused_attention}) == fused


def test_norms_are_folded_into_convolutions():
    """Quantization would round each norm's result; onnxruntime fuses float convolutions by itself."""
    config = load_config("aott", ["memory.policy=bounded_fifo", "memory.frames=2"])
    encode = graphs.build_graphs(build_model(config.model), FRAME_SIZE, config.memory)["encode"].model
    assert not any(isinstance(module, FrozenBatchNorm2d) for module in encode.modules())


def test_first_frame_policy_is_unchanged_by_the_bound():
    """Three masks given, room for three."""
    model, config = build("aott", "memory.frames=3")
    masks = {0: draw_stripes([1, 2]), 3: draw_stripes([2, 1]), 4: draw_stripes([1, 2, 3])}
    configs = config, resolve_export_config(config)
    plain, bounded = (run_tracker(Tracker(model, config), draw_texture(7), masks) for config in configs)
    assert config.memory.policy == "first_frame"
    assert_same(bounded, plain)


def test_graphs_compute_in_float32():
    config = load_config("aott", ["compute.precision=auto"])
    assert resolve_export_config(config).compute.precision == "float32"


def test_every_nth_is_exported_as_trackers_bound_it():
    config = load_config("aotl")
    assert config.memory.policy == "every_nth"
    assert resolve_export_config(config).memory.policy == apply_protocol(config, "bounded").memory.policy


@pytest.mark.parametrize(("preset", "overrides", "message"), [
    ("r50_aotl_ermu", (), "memory.policy ermu: .*; use memory.policy=bounded_fifo memory.frames=4"),
    ("aott", ("memory.frames=1",), "memory.frames 1: cannot be exported; use at least 2"),
    ("aott", ("memory.short_term_frames=2",), "memory.short_term_frames 2: cannot be exported; use 1"),
])  # fmt: skip
def test_memory_without_runtime_rejected(preset, overrides, message):
    with pytest.raises(InputError, match=message):
        resolve_export_config(load_config(preset, overrides))


@pytest.fixture
def empty_graphs(monkeypatch):
    """Graphs are written as empty files, which takes no time."""
    monkeypatch.setattr(export, "convert_to_onnx", lambda graph: onnx.ModelProto())


@pytest.mark.parametrize("quantize_encoder", [False, True])
def test_encoder_is_quantized_on_request(empty_graphs, monkeypatch, tmp_path, quantize_encoder):
    quantized = []
    monkeypatch.setattr(export, "record_inputs", lambda folder, names, clip: {name: name for name in names})
    monkeypatch.setattr(export, "quantize", lambda graph, name: quantized.append(name) or graph)
    clip = [(draw_texture(1)[0], draw_stripes([1]))]
    options = ExportOptions(calibration=clip, quantize_encoder=quantize_encoder)
    export_model(*build("aott"), tmp_path / "export", options, frame_size=FRAME_SIZE)
    assert {*quantized} == {*QUANTIZED_GRAPHS, *["encode"] * quantize_encoder}


def test_export_describes_the_grid_of_its_prompt_network(empty_graphs, tmp_path):
    model, config = build("aott", "model.align_corners=false")
    for prompts in (None, build_prompts()):
        export_model(model, config, tmp_path / "export", frame_size=FRAME_SIZE, prompts=prompts, force=True)
        description = json.loads((tmp_path / "export" / "export.json").read_text())
        assert (description["prompting"] or {}).get("align_corners") == (None if prompts is None else True)


def test_failed_export_removes_its_files(monkeypatch, tmp_path):
    fail = Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr(export, "convert_to_onnx", fail)
    with pytest.raises(InputError, match=r"export: cannot be written \(No space left on device\)"):
        export_model(*build("aott"), tmp_path / "export", frame_size=FRAME_SIZE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mine.txt", "export.json", "weights.bin"])
def test_other_files_are_not_replaced(tmp_path, name):
    (tmp_path / name).write_text("[" * 100_000)  # deeper than JSON is parsed
    with pytest.raises(InputError, match="already contains files that are not of an export"):
        export_model(*build("aott"), tmp_path, frame_size=FRAME_SIZE, force=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_only_files_of_an_export_are_replaced(empty_graphs, tmp_path):
    model, config = build("aott")
    for _ in range(2):
        export_model(model, config, tmp_path / "export", frame_size=FRAME_SIZE, force=True)
        (tmp_path / "export" / ".DS_Store").touch()
    assert (tmp_path / "export" / ".DS_Store").exists()
    (tmp_path / "export" / "photos").mkdir()
    with pytest.raises(InputError, match="files that are not of an export"):
        export_model(model, config, tmp_path / "export", frame_size=FRAME_SIZE, force=True)
    assert (tmp_path / "export" / "photos").is_dir()


@pytest.mark.parametrize("kind", ["current", "mounted"])
def test_current_or_mounted_folder_is_filled(empty_graphs, tmp_path, monkeypatch, kind):
    folder = tmp_path / "export"
    (folder / ".export.00000000.part").mkdir(parents=True)  # left by a killed export
    (folder / "relevance.onnx").touch()
    (folder / "export.json").write_text('{"sha256": {"relevance.onnx": ""}}')
    if kind == "current":
        monkeypatch.chdir(folder)
    else:
        monkeypatch.setattr(Path, "is_mount", lambda path: path == folder)
    model, config = build("aott")
    output = Path() if kind == "current" else folder
    export_model(model, config, output, frame_size=FRAME_SIZE, force=True)
    assert not [*folder.glob(".*"), *folder.glob("relevance.onnx")]
    assert {"export.json", "weights.bin", "encode.onnx"} < set(os.listdir(folder))
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    before = (folder / "export.json").read_bytes()
    export_model(model, config, output, frame_size=(2 * HEIGHT, WIDTH), force=True)
    assert (folder / "export.json").read_bytes() != before


@needs_posix
def test_empty_folder_in_a_closed_one_is_filled(empty_graphs, monkeypatch):
    """Also after a failure, which leaves an export that cannot be loaded."""
    with tempfile.TemporaryDirectory() as parent:
        folder, (model, config) = Path(parent, "export"), build("aott")
        os.chmod(parent, 0o777)
        with drop_root():
            folder.mkdir()
        os.chmod(parent, 0o555)
        with drop_root():
            with monkeypatch.context() as patch:
                calls = iter([os.replace, Mock(side_effect=KeyboardInterrupt)])
                patch.setattr(os, "replace", lambda source, target: next(calls)(source, target))
                with pytest.raises(KeyboardInterrupt):
                    export_model(model, config, folder, frame_size=FRAME_SIZE)
            assert os.listdir(folder) == ["export.json"]
            export_model(model, config, folder, frame_size=FRAME_SIZE, force=True)
            assert {"export.json", "weights.bin", "encode.onnx"} < set(os.listdir(folder))


@needs_all_packages
def test_version_and_graphs_agree_with_the_ports():
    port = (ROOT / "packages/demo/tracker/tracker.js").read_text("utf-8")
    assert f"EXPORT_VERSION = {export.EXPORT.version};" in port
    assert export.EXPORT.version == aotlab_runtime.files.EXPORT_VERSION
    model, config = build("aott", "memory.policy=rmem", "memory.frames=2")
    names = {*graphs.build_graphs(model, FRAME_SIZE, config.memory), "prompt"}
    assert {*re.findall(r"'(\w+)'", re.search(r"GRAPHS = (.*);", port)[1])} == names - {"relevance"}
    runtime = (ROOT / "packages/runtime/src/aotlab_runtime/graphs.py").read_text("utf-8")
    assert names == {*re.findall(r'self\.run\("(\w+)"', runtime)}


def test_relevance_of_subsampled_memory_is_exported():
    model, config = build("msdeaott", "memory.policy=rmem", "model.stages.0.memory_stride=2")
    relevance = graphs.build_graphs(model, FRAME_SIZE, config.memory)["relevance"]
    assert relevance.inputs["memory_0_long_key"].shape[1] == graphs.EXAMPLE_FRAMES * 2 * 2  # of 3×4 tokens
    torch.testing.assert_close(relevance.outputs["relevance"], torch.full((graphs.EXAMPLE_FRAMES,), 0.5))


def test_folder_of_a_similar_name_is_kept(empty_graphs, tmp_path):
    (tmp_path / ".export.old").mkdir()
    export_model(*build("aott"), tmp_path / "export", frame_size=FRAME_SIZE)
    assert (tmp_path / ".export.old").is_dir()


def test_failed_replacement_does_not_mix_exports(empty_graphs, monkeypatch, tmp_path):
    model, config = build("aott")
    export_model(model, config, tmp_path / "export", frame_size=FRAME_SIZE)
    calls = iter([os.replace, Mock(side_effect=OSError(5, "Input/output error"))])
    monkeypatch.setattr(os, "replace", lambda source, target: next(calls)(source, target))
    monkeypatch.setattr(export, "convert_to_onnx", lambda graph: onnx.ModelProto(ir_version=9))
    with pytest.raises(InputError, match=r"cannot be written \(Input/output error\)"):
        export_model(model, config, tmp_path / "export", frame_size=FRAME_SIZE, force=True)
    with pytest.raises(aotlab_runtime.InputError, match="changed or damaged"):
        aotlab_runtime.files.read_description(tmp_path / "export")


def test_scales_of_int8_stay_float32_in_exports_of_half_size(tmp_path):
    scales = numpy_helper.from_array(np.full(400, 1e-8, np.float32), "scales")  # 0 in float16
    weights = numpy_helper.from_array(np.zeros((400, 8), np.int8), "weights")
    node = helper.make_node("DequantizeLinear", ["weights", "scales"], ["y"], axis=0)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [400, 8])
    proto = helper.make_model(helper.make_graph([node], "graph", [], [output], [weights, scales]))
    with open(tmp_path / WEIGHTS_FILE, "wb") as file:
        SharedWeights(file, half=True).move(proto)
    assert [tensor.data_type for tensor in proto.graph.initializer] == [TensorProto.INT8, TensorProto.FLOAT]


def test_export_does_not_change_the_model(empty_graphs, tmp_path):
    model, config = build("r50_aotl_rmem")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    config = config.replace(memory={"frames": 3})
    export_model(model, config, tmp_path / "export", frame_size=FRAME_SIZE)
    assert_same_weights(model.state_dict(), before)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("damaged", [1, 2, 3])
def test_nan_on_any_frame_is_the_difference(monkeypatch, damaged):
    model, config = build("aott", "memory.policy=bounded_fifo", "memory.frames=2")
    exported, calls = Tracker(model, config), []

    def step(frame, mask=None):
        prediction = Tracker.step(exported, frame, mask)
        logits = prediction.logits.numpy().copy()
        if len(calls) == damaged:
            logits[0, 0, 0] = np.nan
        calls.append(frame)
        return SimpleNamespace(logits=logits, labels=np.asarray(prediction.labels))

    runtime = SimpleNamespace(step=step)
    monkeypatch.setattr("aotlab_runtime.Tracker.from_export", lambda *_, **options: runtime)
    agreement = verify_export(model, config, None, clip=[(frame, draw_stripes([1, 2])) for frame in draw_texture(4)])
    assert math.isnan(agreement.difference)
    with pytest.raises(RunStopped, match="logits of the graphs differ from PyTorch's by nan"):
        require_agreement(agreement, half=False, max_loss=None)


def test_error_of_the_runtime_is_an_input_error(tmp_path):
    model, config = build("aott")
    with pytest.raises(InputError, match="not a usable export"):
        verify_export(model, config, tmp_path, clip=[])
