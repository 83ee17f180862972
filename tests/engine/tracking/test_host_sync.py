"""Ordinary frames wait for nothing: no operation that needs a value on the host before it can go on."""

from __future__ import annotations

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

from aotlab.configs.load import load_config
from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.build import build_model
from tests.engine.small_model import clip, stripes

SYNCHRONIZING = {
    "_local_scalar_dense", "nonzero", "_unique2", "unique_dim", "equal", "masked_select", "bincount", "lift_fresh",
}  # fmt: skip
"""operations whose result, or its size, comes from the values of a tensor; and lists that are copied to the device"""


class SyncRecorder(TorchDispatchMode):
    """Notes operations that make a CPU wait for a GPU."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation.overloadpacket.__name__
        if name in SYNCHRONIZING:
            self.found.append(name)
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("preset", ["aott", "deaotl", "msdeaott"])
@pytest.mark.parametrize("count", [2, 5], ids=["one group", "two groups"])
def test_ordinary_frames_do_not_synchronize(preset, count):
    model, config = random_model(preset)
    tracker = Tracker(model, config)
    frames = clip(5)
    tracker.step(frames[0], stripes(range(1, count + 1)))
    with SyncRecorder() as waits:
        predictions = [tracker.step(frame) for frame in frames[1:]]
    assert waits.found == ["lift_fresh"] * 4  # the frames themselves
    assert predictions[-1].channels.shape == frames[0].shape[:2]


def test_synchronization_is_detected():
    model, config = random_model("aott")
    tracker = Tracker(model, config)
    frames = clip(2)
    tracker.step(frames[0], stripes([1]))
    with SyncRecorder() as waits:
        assert tracker.step(frames[1]).logits.any()
    assert set(waits.found) > {"lift_fresh"}


def random_model(preset):
    config = load_config(preset, ["model.max_objects=3", "memory.every=2"])
    return build_model(config.model), config
