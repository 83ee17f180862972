"""Models as ONNX files, run by onnxruntime: same masks as PyTorch, whole folders, refusals in one sentence."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml

from aotlab.configs.load import load_config
from aotlab.configs.schema import Config
from aotlab.engine.export import graphs
from aotlab.engine.export.graphs import (
    DESCRIPTION_FILE,
    EXPORT,
    MAPS,
    PROMPT_GRAPHS,
    export_model,
    resolve_export_config,
)
from aotlab.engine.export.runtime import (
    TOLERANCE,
    load_exported_tracker,
    read_description,
    relative_difference,
)
from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.fast.local_attention import TiledLocalAttention
from aotlab.networks.model import VOSModel
from aotlab.networks.prompts import PLANES
from aotlab.utils import errors
from aotlab.utils.errors import InputError
from aotlab.utils.versioned_json import WRAPPER_KEYS, wrap
from tests.engine.small_model import HEIGHT, WIDTH, build, clip, run, stripes
from tests.mutations import mutate_tree

VIDEO = (HEIGHT, WIDTH)
FIFO = ("memory.policy=bounded_fifo", "memory.frames=3", "memory.every=1")
MASKS = {0: stripes([1, 2]), 4: stripes([9, 2, 1])}
"""two objects, and on a later frame a third one"""


@dataclass(frozen=True)
class Export:
    """A folder of graphs and the model that they were made of."""

    folder: Path
    model: VOSModel
    config: Config


def make(folder, preset, *overrides, groups=1):
    model, config = build(preset, *overrides)
    for name, parameter in model.named_parameters():
        if name.endswith("relative_value"):
            parameter.data *= 0.1  # untrained ones amplify rounding to 1.6e-3 of the logits' deviation
    export_model(model, config, folder, video=VIDEO, groups=groups, prompts=model.prompts is not None)
    return Export(folder, model, config)


def assert_equal_tracking(export, masks, length=7):
    """Logits agree on every frame that is tracked; random weights have few ties, so labels do too."""
    exported = load_exported_tracker(export.folder)
    plain = Tracker(export.model, exported.config)
    for index, frame in enumerate(clip(length)):
        found, expected = exported.step(frame, masks.get(index)), plain.step(frame, masks.get(index))
        assert found.ids == expected.ids
        assert (found.channels == expected.channels).double().mean() > 0.999
        if index not in masks:
            assert torch.std(expected.logits) > 0.1
            assert relative_difference(found, expected) < TOLERANCE
        assert [bank.frame_indices for bank in exported.banks] == [bank.frame_indices for bank in plain.banks]
        assert all(len(bank) <= exported.config.memory.frames for bank in exported.banks)
    return exported


@pytest.fixture(scope="module")
def aott(tmp_path_factory):
    return make(tmp_path_factory.mktemp("exports") / "aott", "aott", "model.prompt_blocks=1", *FIFO)


def test_graphs_track_as_pytorch(aott):
    exported = assert_equal_tracking(aott, MASKS)
    assert exported.banks[0].frame_indices == [[0, 4, 6]]  # full: frames 1 to 3 and 5 came and went


def test_state_of_other_weights_rejected(aott):
    tracker, other = load_exported_tracker(aott.folder), load_exported_tracker(aott.folder)
    tracker.step(clip(1)[0], MASKS[0])
    other.model.digest += 1  # as of graphs of other weights
    with pytest.raises(InputError, match="weights"):
        other.load_state_dict(tracker.state_dict())


def test_more_objects_run_in_further_batches(aott):
    assert_equal_tracking(aott, {0: stripes(range(1, 13)), 2: stripes(range(1, 25))}, length=4)


def test_files_are_valid_onnx(aott):
    axes = set()
    for name in read_description(aott.folder).sha256:
        model = onnx.load(aott.folder / f"{name}.onnx", load_external_data=False)
        onnx.checker.check_model(model)
        shapes = [value.type.tensor_type.shape.dim for value in model.graph.input]
        axes |= {side.dim_param for shape in shapes for side in shape if side.dim_param}
    assert axes == {"12*frames"}


def test_prompt_graphs_equal_the_prompt_network(aott):
    encode, segment = (
        onnxruntime.InferenceSession(aott.folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
        for name in PROMPT_GRAPHS
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


def test_frame_of_another_size_rejected(aott):
    tracker = load_exported_tracker(aott.folder)
    with pytest.raises(InputError, match="this export is for 49×33"):
        tracker.step(np.zeros((65, 49, 3), np.uint8), np.ones((65, 49), np.uint8))


def test_unknown_provider_rejected(aott):
    with pytest.raises(
        InputError, match=r"provider Nonsense: not available in onnxruntime here; use one of .*CPU"
    ):
        load_exported_tracker(aott.folder, provider="Nonsense")


@pytest.mark.slow
def test_batches_of_several_groups_are_padded(tmp_path):
    export = make(tmp_path / "export", "aott", *FIFO, "model.max_objects=2", groups=2)
    tracker = assert_equal_tracking(export, {0: stripes([1, 2, 3, 4, 5]), 3: stripes([7, 1, 2, 8, 5])})
    assert [len(bank.frame_indices) for bank in tracker.banks] == [3, 1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "overrides"),
    [
        ("deaott", FIFO),
        ("msdeaott", (*FIFO, "model.stages.1.window=5")),
        ("r50_aotl", FIFO),
        ("r50_paotl", FIFO),
        ("swinb_aotl", FIFO),
        ("r50_aotl_rmem", ("memory.frames=6", "memory.every=1")),  # more frames than slots; reads relevance
        ("msdeaotl", ("memory.policy=relevance_redundancy", "memory.frames=3", "memory.every=1")),
    ],
)
def test_other_presets_track_as_pytorch(tmp_path, preset, overrides):
    assert_equal_tracking(make(tmp_path / "export", preset, *overrides), MASKS, length=9)


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("size", [(25, 29), (33, 26)])  # larger maps than windows, so by blocks
@pytest.mark.parametrize("relative_value", [True, False])
def test_exportable_local_attention_is_exact(size, relative_value, frames, monkeypatch):
    torch.manual_seed(0)
    attention = TiledLocalAttention(8, 2, 7, relative_value=relative_value).requires_grad_(False)
    for parameter in attention.parameters():
        parameter.normal_()
    length = size[0] * size[1]
    query, key, value = (torch.randn(3, count * length, 8) for count in (1, frames, frames))
    expected = attention(query, key, value, size)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(attention(query, key, value, size), expected, atol=1e-6, rtol=0)


def test_first_frame_policy_is_unchanged_by_the_bound():
    """Three masks given, room for three."""
    model, config = build("aott", "memory.frames=3")
    masks = {0: stripes([1, 2]), 3: stripes([2, 1]), 4: stripes([1, 2, 3])}
    plain, bounded = (
        run(Tracker(model, own), clip(7), masks) for own in (config, resolve_export_config(config))
    )
    assert config.memory.policy == "first_frame"
    assert all(torch.equal(a.logits, b.logits) for a, b in zip(plain, bounded, strict=True))


def test_graphs_compute_in_float32():
    config = load_config("aott", ["compute.precision=auto"])
    assert resolve_export_config(config).compute.precision == "float32"


@pytest.mark.parametrize(
    ("preset", "overrides", "message"),
    [
        ("aotl", (), "memory.policy every_nth: .*memory.frames=4"),
        ("aott", ("memory.frames=1",), "memory.frames must be at least 2"),
        ("aott", ("memory.short_term_frames=2",), "memory.short_term_frames must be 1"),
    ],
)
def test_unbounded_memory_rejected(preset, overrides, message):
    with pytest.raises(InputError, match=message):
        resolve_export_config(load_config(preset, overrides))


@pytest.fixture
def empty_graphs(monkeypatch):
    """Graphs are written as empty files, which takes no time."""
    monkeypatch.setattr(graphs, "_write_onnx", lambda graph, path, frames: path.write_bytes(b""))


def test_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(errors, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"onnx and onnxscript must be installed for this; pip install 'aotlab\[export\]'"
    ):
        export_model(*build("aott"), tmp_path / "export", video=VIDEO)


def test_model_without_prompts_exports_none(tmp_path):
    with pytest.raises(InputError, match="takes no prompts"):
        export_model(*build("aott", *FIFO), tmp_path / "out", video=(33, 49), prompts=True)
    assert not (tmp_path / "out").exists()


def test_failed_export_leaves_nothing(monkeypatch, tmp_path):
    def fail(graph, path, frames):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(graphs, "_write_onnx", fail)
    with pytest.raises(InputError, match=r"export: cannot be written \(No space left on device\)"):
        export_model(*build("aott"), tmp_path / "export", video=VIDEO)
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_not_replaced(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="exists; choose"):
        export_model(*build("aott"), tmp_path, video=VIDEO, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_export_does_not_change_the_model(empty_graphs, tmp_path):
    model, config = build("r50_aotl_rmem")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    config = replace(config, memory=replace(config.memory, frames=3))
    export_model(model, config, tmp_path / "export", video=VIDEO)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.fixture
def described(empty_graphs, tmp_path):
    """A folder with a description and empty files of its graphs."""
    description = export_model(*build("aott"), tmp_path / "export", video=VIDEO)
    assert read_description(tmp_path / "export") == description
    return tmp_path / "export", yaml.safe_load((tmp_path / "export" / DESCRIPTION_FILE).read_text())


def test_altered_descriptions_rejected(described):
    folder, tree = described
    random = Random(0)
    for _ in range(60):
        changed = mutate_tree(tree, random)
        (folder / DESCRIPTION_FILE).write_text(yaml.safe_dump(changed))
        with suppress(InputError):
            read_description(folder)
            assert changed == tree


@pytest.mark.parametrize("name", ["../encode", "/encode", "..", "a/b", ".hidden"])
def test_graph_names_outside_the_folder_rejected(described, name):
    folder, tree = described
    tree["sha256"][name] = tree["sha256"].pop("encode")
    content = {key: value for key, value in tree.items() if key not in WRAPPER_KEYS}
    (folder / DESCRIPTION_FILE).write_text(yaml.safe_dump(wrap(EXPORT, content)))
    with pytest.raises(InputError, match="not a usable export"):
        read_description(folder)


TEXTS = [
    "",
    "[]",
    "5",
    "a: [",
    "kind: !!python/object/apply:os.system [id]",
    "x: " + "[" * 5000,
    "a: 1\na: 2",
]
DAMAGE = {
    "swapped graph": (
        lambda folder: (folder / "encode.onnx").write_bytes(b"x"),
        "encode.onnx: missing, or not the graph that was exported",
    ),
    "missing description": (
        lambda folder: (folder / DESCRIPTION_FILE).unlink(),
        "not an export, export.yaml is missing",
    ),
    "link to itself": (
        lambda folder: (
            (folder / DESCRIPTION_FILE).unlink(),
            (folder / DESCRIPTION_FILE).symlink_to(folder / DESCRIPTION_FILE),
        ),
        "not an export",
    ),
    **{
        text[:20]: (lambda folder, text=text: (folder / DESCRIPTION_FILE).write_text(text), "export.yaml: ")
        for text in TEXTS
    },
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_exports_rejected(described, case):
    damage, message = DAMAGE[case]
    damage(described[0])
    with pytest.raises(InputError, match=message) as raised:
        read_description(described[0])
    assert "\n" not in str(raised.value)
