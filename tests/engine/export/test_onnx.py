"""ONNX files run by onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml

from aotlab.engine.export.graphs import MAPS, NAMES
from aotlab.engine.export.runtime import exported_tracker
from aotlab.engine.export.writing import export_model
from aotlab.networks.prompts import PLANES
from aotlab.utils.errors import InputError
from tests.engine.export.exports import FIFO, MASKS, Export, assert_alike, make
from tests.engine.small_model import build, clip, stripes


@pytest.fixture(scope="module")
def aott(tmp_path_factory) -> Export:
    return make(tmp_path_factory.mktemp("exports") / "aott", "aott", "model.prompt_blocks=1", *FIFO)


def test_aot_tracks_as_by_pytorch(aott):
    exported = assert_alike(aott, MASKS)
    assert exported.banks[0].kept == [[0, 4, 6]]  # full: frames 1 to 3 and 5 came and went


def test_any_number_of_objects_runs_in_batches_of_the_exported_size(aott):
    assert_alike(aott, {0: stripes(range(1, 13)), 2: stripes(range(1, 25))}, length=4)


def test_files_are_whole_and_described(aott):
    description = yaml.safe_load((aott.folder / "export.yaml").read_text())
    for name, graph in description["graphs"].items():
        model = onnx.load(aott.folder / f"{name}.onnx", load_external_data=False)
        onnx.checker.check_model(model)
        for kind, given in (("inputs", model.graph.input), ("outputs", model.graph.output)):
            shapes = {
                own.name: [side.dim_param or side.dim_value for side in own.type.tensor_type.shape.dim]
                for own in given
            }
            assert shapes == graph[kind]
    free = [shape for graph in description["graphs"].values() for shape in graph["inputs"].values()]
    assert {side for shape in free for side in shape if isinstance(side, str)} == {"12*frames"}


def test_the_prompt_network_gives_the_same_masks_by_onnxruntime(aott):
    encode, segment = (
        onnxruntime.InferenceSession(aott.folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
        for name in NAMES
    )
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(encode.get_inputs()[0].shape, generator=generator)
    planes = (torch.rand(1, len(PLANES), *image.shape[2:], generator=generator) > 0.8).float()
    network = aott.model.prompts
    with torch.no_grad():
        expected = network(network.encode(image), planes).numpy()
    maps = dict(zip(MAPS, encode.run(None, {"image": image.numpy()}), strict=True))
    (logits,) = segment.run(None, {**maps, "planes": planes.numpy()})
    assert np.abs(logits - expected).max() < 1e-3 * expected.std()
    (others,) = segment.run(None, {**maps, "planes": 1 - planes.numpy()})
    assert np.abs(logits - others).max() > 10 * np.abs(logits - expected).max()


def test_a_model_without_prompts_exports_none(tmp_path):
    model, config = build("aott", *FIFO)
    with pytest.raises(InputError, match="takes no prompts"):
        export_model(model, config, tmp_path / "out", video=(33, 49), prompts=True)
    assert not (tmp_path / "out").exists()


def test_a_frame_of_another_size_is_refused(aott):
    tracker = exported_tracker(aott.folder)
    with pytest.raises(InputError, match="this export is for 49×33"):
        tracker.step(np.zeros((65, 49, 3), np.uint8), np.ones((65, 49), np.uint8))


def test_more_frames_than_exported_are_refused(aott):
    tracker = exported_tracker(aott.folder)
    tracker.step(clip()[0], stripes([1]))
    bank = tracker.banks[0]
    for block in (block for stage in bank._long for block in stage):
        block.load(type(block.read())(*(x.repeat(1, 4, 1) for x in block.read())), 4, 4)
    bank.kept = [[0, 1, 2, 3]]
    with pytest.raises(InputError, match=r"4 frames, but this export has room for 3; .*memory.frames=4"):
        tracker.step(clip()[1])


def test_an_unknown_provider_is_refused(aott):
    with pytest.raises(
        InputError, match=r"provider Nonsense: not available in onnxruntime here; use one of .*CPU"
    ):
        exported_tracker(aott.folder, provider="Nonsense")


@pytest.mark.slow
def test_batches_of_several_groups_are_filled_up(tmp_path):
    export = make(tmp_path / "export", "aott", *FIFO, "model.max_objects=2", groups=2)
    tracker = assert_alike(export, {0: stripes([1, 2, 3, 4, 5]), 3: stripes([7, 1, 2, 8, 5])})
    assert [len(bank.kept) for bank in tracker.banks] == [3, 1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "overrides"),
    [
        ("deaott", FIFO),
        ("msdeaott", (*FIFO, "model.stages.1.window=5")),
        ("r50_aotl", FIFO),
        ("r50_paotl", FIFO),
        ("swinb_aotl", FIFO),
        (
            "r50_aotl_rmem",
            ("memory.frames=6", "memory.every=1"),
        ),  # more frames than slots, and a policy that looks
        ("msdeaotl", ("memory.policy=relevance_redundancy", "memory.frames=3", "memory.every=1")),
    ],
)
def test_other_models_do_too(tmp_path, preset, overrides):
    assert_alike(make(tmp_path / "export", preset, *overrides), MASKS, length=9)
