"""Exports of presets compared with PyTorch: masks, weights, axes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

import aotlab
import aotlab_runtime
from aotlab.configs.files import list_presets
from aotlab.configs.load import load_config
from aotlab.engine.tracking.tracker import Tracker
from aotlab.export.clip import read_clip
from aotlab.export.export import export_model, resolve_export_config
from aotlab.networks.weights.zoo import load_model
from aotlab.prompting.weights import load_prompt_network
from aotlab_testing.files import SAMPLE
from aotlab_testing.small_model import draw_stripes, draw_texture
from runtime.tests.exports import FIFO, MASKS, assert_equal_masks, assert_equal_prompted_masks, export_pair

PRESETS = (
    "aott", "aost", "deaott", "msdeaott", "r50_aotl_rmem", "r50_deaotl_rmem", "r50_paotl", "rs101_aotl", "swinb_aotl",
)  # fmt: skip
"""Presets with all methods and encoders, the quickest to export."""


@pytest.mark.slow  # converts the prompt graph
def test_exported_graphs_are_valid_and_portable(tmp_path):
    assert_equal_prompted_masks(export_pair(tmp_path / "export", "aott", *FIFO, prompts=True))
    axes = set()
    for path in (tmp_path / "export").glob("*.onnx"):
        onnx.checker.check_model(path)
        graph = onnx.load(path, load_external_data=False).graph
        shapes = [value.type.tensor_type.shape.dim for value in graph.input]
        axes |= {side.dim_param for shape in shapes for side in shape if side.dim_param}
        assert {node.domain for node in graph.node} == {""}, path  # operators that every runtime has
        for node in graph.node:  # WebGPU and TensorRT have no Resize with antialias
            antialias = [item.i for item in node.attribute if item.name == "antialias"]
            assert node.op_type != "Resize" or not any(antialias), path
    assert axes == {"12*frames", "height", "width", "objects", "points", "16*rows + 1", "16*columns + 1"}


@pytest.mark.slow
def test_bundled_model_on_sample_equals_pytorch(tmp_path):
    """The figures of docs/howto/export.md: ``pytest packages/runtime/tests -m slow -k bundled -s``."""
    model, config = load_model("bundled")
    export_model(model, config, tmp_path / "export", frame_size=(480, 854), prompts=load_prompt_network())
    runtime = aotlab_runtime.Tracker.from_export(tmp_path / "export", threads=1)
    pytorch_tracker = Tracker(model, resolve_export_config(config))
    frames = read_clip(SAMPLE / "JPEGImages/480p/pond", SAMPLE / "Annotations/480p/pond", 20)
    box = (54, 94, 241, 109)
    pairs = [
        (runtime.prompt(frames[0][0], {1: aotlab_runtime.Prompt(box=box)}).labels,
         pytorch_tracker.prompt(frames[0][0], {1: aotlab.Prompt(box=box)}).labels)
    ]  # fmt: skip
    for index, (frame, mask) in enumerate(frames):
        mask = None if index else mask
        pairs.append((runtime.step(frame, mask).labels, pytorch_tracker.step(frame, mask).labels))
    from_box, *tracked = [np.mean(labels == expected) for labels, expected in pairs]
    print(f"\nequal pixels: from a box {from_box:.3%}, tracked {np.mean(tracked):.3%}, worst {min(tracked):.3%}")
    assert min(from_box, *tracked) >= 0.999  # ties on outlines
    assert np.any(pairs[-1][0])


@pytest.mark.slow
def test_half_weights_keep_the_masks(tmp_path):
    pair = export_pair(tmp_path / "export", "aott", *FIFO, half=True)
    assert_equal_masks(pair, MASKS, min_equal=0.95)  # float16 weights; random networks have many near ties
    assert (tmp_path / "export" / "weights.bin").stat().st_size < 2.2 * sum(
        parameter.numel() for parameter in pair[1].model.parameters()
    )


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "overrides"), [
    ("r50_aotl_rmem", ("memory.frames=3", "memory.every=1")),
    ("r50_aotl_rmem", ("memory.frames=10", "memory.every=1")),  # more frames than temporal slots
    ("r50_deaotl_rmem", ("memory.frames=3", "memory.every=1")),
    ("msdeaott", ("model.stages.1.window=5",)),
])  # fmt: skip
def test_memory_of_other_methods_equals_pytorch(tmp_path, preset, overrides):
    torch.manual_seed(0)
    assert_equal_masks(export_pair(tmp_path / "export", preset, *overrides), MASKS, length=9)


def share_masks(monkeypatch, model, graphs):
    """Store the model's masks, one-hot at the size of the network, in the graphs too."""
    embed_in_model, embed_in_graphs, masks = model.assign_identities, graphs.assign_identities, []

    def record(own):
        masks.append(own)
        return embed_in_model(own)

    def replace(labels, ids):
        identities = masks[-1][0].argmax(0).numpy()
        return embed_in_graphs(np.array([0, *ids], np.int32)[identities], ids)

    monkeypatch.setattr(model, "assign_identities", record)
    monkeypatch.setattr(graphs, "assign_identities", replace)


@pytest.mark.slow
@pytest.mark.parametrize(
    "preset",
    [pytest.param(preset, marks=() if preset in PRESETS else pytest.mark.all_presets) for preset in list_presets()],
)
def test_presets_equal_pytorch(tmp_path, monkeypatch, preset):
    """The figures of docs/reference/exports.md: ``pytest packages/runtime/tests -m slow -k presets_equal -s``.

    Both store PyTorch's masks: with random weights one pixel changes all later frames, so that AOST in PyTorch differs
    from itself with weights changed by a millionth.
    """
    policy = load_config(preset).memory.policy
    exported = policy != "ermu"
    changes = () if exported else ("memory.policy=bounded_fifo", "memory.frames=4", "memory.every=2")
    runtime, pytorch_tracker = export_pair(tmp_path / "export", preset, *changes, tiny=False, frame_size=(129, 161))
    share_masks(monkeypatch, pytorch_tracker.model, runtime.graphs)
    equal, ids = [], set()
    for index, frame in enumerate(draw_texture(9, 129, 161)):
        mask = None if index else draw_stripes([1, 2, 5], 129, 161)
        expected = pytorch_tracker.step(frame, mask).labels
        equal.append((runtime.step(frame, mask).labels == expected).mean())
        ids |= set(np.unique(expected)) if index else set()
    print(f"\n| {preset} | {policy if exported else f'{policy} → bounded_fifo'} | {100 * min(equal):.3f} |")
    assert len(ids) > 1
    assert min(equal) >= 0.999  # ties on outlines
