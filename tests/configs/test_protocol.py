"""Memory of a tracker: bounded for videos of any length, or the published one of benchmarks."""

from itertools import cycle, islice

import pytest
import yaml

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.configs.load import load_config
from aotlab.configs.protocol import apply_protocol
from aotlab.configs.schema import MemoryConfig
from aotlab.engine.tracking.options import TrackerOptions
from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.build import build_model
from aotlab.networks.weights.checkpoints import read_settings, save_checkpoint
from aotlab.utils.errors import InputError
from aotlab_testing.small_model import build, draw_stripes, draw_texture


@pytest.mark.parametrize(("preset", "protocol", "overrides", "policy"), [
    ("aotl", "bounded", [], "rmem"),
    ("aotl", "published", [], "every_nth"),
    ("aotl", "bounded", ["memory.policy=every_nth"], "every_nth"),
    ("aotl", "bounded", ["memory={policy: every_nth, every: 3}"], "every_nth"),
    ("msdeaotl_hq", "bounded", [], "bounded_fifo"),
    ("r50_aotl_ermu", "bounded", [], "ermu"),
    ("r50_deaotl_rmem", "bounded", [], "rmem"),
])  # fmt: skip
def test_only_unbounded_memory_is_replaced(preset, protocol, overrides, policy):
    config = load_config(preset, overrides)
    found = apply_protocol(config, protocol, config=preset, overrides=overrides)
    assert found.memory.policy == policy
    assert (found == config) == (policy == config.memory.policy)


@pytest.mark.parametrize(("text", "policy"), [
    ("memory: {policy: every_nth, every: 3}", "every_nth"),
    ("memory: {policy: first_frame}", "first_frame"),
    ("memory: {every: 3}", "rmem"),
    ("name: mine", "rmem"),
])  # fmt: skip
@pytest.mark.parametrize("is_base", [False, True])
def test_policy_of_a_given_file_is_kept(tmp_path, text, policy, is_base):
    (tmp_path / "own.yaml").write_text(f"base: aotl\n{text}\n")
    (tmp_path / "top.yaml").write_text("base: own.yaml\n")
    config = str(tmp_path / ("top.yaml" if is_base else "own.yaml"))
    assert apply_protocol(load_config(config), "bounded", config=config).memory.policy == policy


def test_limit_without_effect_rejected():
    overrides = ["memory.policy=first_frame", "memory.frames=2"]
    message = "^memory.frames: no effect with memory.policy first_frame, which does not limit the number of frames; "
    with pytest.raises(InputError, match=message):
        apply_protocol(load_config("aotl", overrides), "bounded", overrides=overrides)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A tiny model that keeps every 5th frame, under the name of published weights, and a file of its settings."""
    file = tmp_path_factory.mktemp("home") / "weights" / "aotl.safetensors"
    model, settings = build("aotl")
    save_checkpoint(file, model, settings)
    file.with_name("own.yaml").write_text(f"base: aotl\n{yaml.safe_dump(settings.model_dump(include={'model'}))}")
    return file


LOADERS = {
    "name": lambda _: Tracker.from_pretrained("aotl"),
    "checkpoint": Tracker.from_pretrained,
    "settings": lambda file: Tracker.from_pretrained(file, config=str(file.with_name("own.yaml"))),
    "options": lambda file: TrackerOptions(file).load().fresh(),
}


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
def test_memory_is_bounded_after_300_frames(weights, monkeypatch, load):
    monkeypatch.setenv("AOTLAB_HOME", str(weights.parents[1]))
    tracker = load(weights)
    for index, frame in enumerate(islice(cycle(draw_texture(5)), 300)):
        tracker.step(frame, draw_stripes([1, 2]) if index == 0 else None)
    assert len(tracker.state.groups[0].memory) == 9


def test_replaced_memory_is_logged(caplog, monkeypatch):
    config = load_config("aott").replace(memory=MemoryConfig(policy="every_nth"))
    loaded = build_model(config.model), config
    monkeypatch.setattr("aotlab.networks.weights.checkpoints.load_checkpoint", lambda *_, **__: loaded)
    assert Tracker.from_pretrained().config.memory.policy == "rmem"
    assert "aott: memory.policy rmem keeps at most 9 frames; the paper keeps all" in caplog.text
    caplog.clear()
    assert Tracker.from_pretrained(protocol="published").config == config
    assert caplog.text == ""


@pytest.mark.parametrize(("protocol", "stored"), [("bounded", 3), ("published", 5)])
def test_number_of_reference_frames_is_bounded(protocol, stored):
    model, settings = build("aott", "memory.frames=3", "memory.every=1")
    tracker = Tracker(model, apply_protocol(settings, protocol))
    for index, frame in enumerate(draw_texture(7)):
        tracker.step(frame, draw_stripes([1, 2]) if index < 5 else None)
    assert len(tracker.state.groups[0].memory) == stored


def test_unknown_protocol_rejected():
    with pytest.raises(InputError, match=r"^protocol paper: not one of bounded, published$"):
        apply_protocol(load_config("aotl"), "paper")


@pytest.mark.parametrize(("overrides", "max_tracked"), [
    (["memory.every=2"], 1), (["memory.frames=9"], None), (["memory.policy=bounded_fifo"], None),
    (["memory={frames: 9}"], None), (["memory.max_tracked=2", "memory.frames=9"], 2),
])  # fmt: skip
def test_new_memory_size_resets_max_tracked(overrides, max_tracked):
    assert read_settings(BUNDLED_CHECKPOINT, overrides=overrides).memory.max_tracked == max_tracked
