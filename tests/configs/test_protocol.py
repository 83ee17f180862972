"""Memory of a tracker: bounded for videos of any length, or the published one of benchmarks."""

import pytest

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.configs.load import load_config
from aotlab.configs.protocol import apply_protocol
from aotlab.configs.schema import MemoryConfig
from aotlab.configs.settings import changed
from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.build import build_model
from aotlab.networks.weights.checkpoints import read_settings
from aotlab.utils.errors import InputError
from tests.engine.small_model import build, draw_stripes, draw_texture


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
    found = apply_protocol(config, protocol, overrides)
    assert found.memory.policy == policy
    assert (found == config) == (policy == config.memory.policy)


def test_replaced_memory_is_logged(caplog, monkeypatch):
    config = changed(load_config("aott"), memory=MemoryConfig(policy="every_nth"))
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
