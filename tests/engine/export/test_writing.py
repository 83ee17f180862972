"""Exports: settings, and folders that are written whole or not at all."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.engine.export import writing
from aotlab.engine.export.description import exportable
from aotlab.engine.export.writing import export_model
from aotlab.engine.tracker import Tracker
from aotlab.networks.attention import local_attention
from aotlab.networks.kernels import SETS
from aotlab.networks.operations import use
from aotlab.networks.positions import RelativePosition
from aotlab.utils.errors import InputError
from tests.engine.small_model import HEIGHT, WIDTH, build, clip, run, stripes

VIDEO = (HEIGHT, WIDTH)


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("size", [(5, 9), (8, 16), (13, 7)])
@pytest.mark.parametrize("with_value", [True, False])
def test_local_attention_of_graphs_is_that_of_the_model(size, with_value, frames):
    heads, dim, value_dim, window, length = 2, 8, 12, 7, size[0] * size[1]
    draw = torch.Generator().manual_seed(0)
    query = torch.randn(3, length, dim, generator=draw)
    key = torch.randn(3, frames * length, dim, generator=draw)
    value = torch.randn(3, frames * length, value_dim, generator=draw)
    position = RelativePosition(
        torch.randn(heads, window**2, dim // heads, generator=draw),
        torch.randn(heads, window**2, generator=draw),
        torch.randn(heads, value_dim // heads, window**2, generator=draw) if with_value else None,
    )
    given = (query, key, value)
    with use({**SETS["exportable"], "windows": "plain", "spread": "plain"}):
        expected = local_attention(*given, size, position)
    with use(SETS["exportable"]):
        found = local_attention(*given, size, position)
    assert torch.equal(found, expected)  # the same numbers, moved in another way


def test_first_frame_is_the_same_with_a_bound():
    """Three masks given, room for three."""
    model, config = build("aott", "memory.frames=3")
    masks = {0: stripes([1, 2]), 3: stripes([2, 1]), 4: stripes([1, 2, 3])}
    frames = clip(7)
    one, other = (
        run(Tracker(model, config), frames, masks),
        run(Tracker(model, exportable(config)), frames, masks),
    )
    assert config.memory.policy == "first_frame"
    assert all(torch.equal(a.logits, b.logits) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("preset", "overrides", "message"),
    [
        ("aotl", (), "memory.policy every_nth: .*memory.frames=4"),
        ("aott", ("memory.frames=1",), "memory.frames 1: give at least 2"),
        (
            "aott",
            ("memory.short_term_frames=2",),
            "memory.short_term_frames 2: .* add memory.short_term_frames=1",
        ),
    ],
)
def test_settings_that_no_bounded_memory_has_are_refused(preset, overrides, message):
    with pytest.raises(InputError, match=message):
        exportable(load_config(preset, overrides))


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"onnx and onnxscript must be installed; pip install 'aotlab\[export\]'"
    ):
        export_model(*build("aott"), tmp_path / "export", video=VIDEO)


def test_a_failed_export_leaves_nothing(monkeypatch, tmp_path):
    def fail(graph, path, frames):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "_write_onnx", fail)
    with pytest.raises(InputError, match=r"export: cannot be written \(No space left on device\)"):
        export_model(*build("aott"), tmp_path / "export", video=VIDEO)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_stays_as_it_is(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="exists; choose"):
        export_model(*build("aott"), tmp_path, video=VIDEO)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_export_leaves_the_model_as_it_is(monkeypatch, tmp_path):
    monkeypatch.setattr(writing, "_write_onnx", lambda graph, path, frames: path.write_bytes(b""))
    model, config = build("r50_aotl_rmem")
    before = {name: own.clone() for name, own in model.state_dict().items()}
    config = replace(config, memory=replace(config.memory, frames=3))
    export_model(model, config, tmp_path / "export", video=VIDEO)
    assert all(torch.equal(own, before[name]) for name, own in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.stages.parameters())
