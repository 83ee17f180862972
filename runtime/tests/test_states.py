"""Saved states of the runtime's tracker."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

import aotlab_runtime
from runtime.tests.exports import MASKS
from tests.engine.small_model import clip


def test_resumed_tracker_gives_equal_masks(tracker):
    frames = clip(5)
    tracker.step(frames[0], MASKS[0])
    tracker.step(frames[1])
    other = tracker.fresh()
    other.load_state_dict(tracker.state_dict())
    for frame in frames[2:]:
        assert np.array_equal(tracker.step(frame).labels, other.step(frame).labels)


def test_state_is_saved_by_numpy(exported):
    runtime = exported[1].fresh()
    runtime.reset(9)
    runtime.step(clip(1)[0], MASKS[0])
    file = io.BytesIO()
    np.savez(file, **runtime.state_dict())
    file.seek(0)
    other = runtime.fresh()
    other.load_state_dict(np.load(file))
    assert other.state_dict()["header"] == runtime.state_dict()["header"]


def change_header(state, **values):
    state["header"] = np.array(json.dumps(json.loads(str(state["header"])) | values))


def change_array(state, name, part):
    state[name] = state[name][part]


DAMAGED_STATES = {
    "missing digest": (lambda state: state.pop("digest"), "changed, or saved with another export or version"),
    "missing header": (lambda state: state.pop("header"), "invalid"),
    "other header": (lambda state: state.update(header=np.array("[")), "invalid"),
    "missing groups": (lambda state: change_header(state, groups=None), "changed"),
    "too many objects": (lambda state: change_header(state, groups=[[*range(1, 31)]]), "changed"),
    "missing frames": (lambda state: state.pop("0.frames"), "changed"),
    "missing tensor": (lambda state: state.pop("0.memory_0_long_key"), "changed"),
    "missing tokens": (lambda state: change_array(state, "0.memory_0_long_key", np.s_[:, :5]), "changed"),
    "missing stored frame": (lambda state: change_array(state, "0.frames", np.s_[1:]), "changed"),
    "no short-term memory": (lambda state: change_array(state, "0.memory_0_short_key", np.s_[:0]), "changed"),
    "another dtype": (
        lambda state: state.update({"0.memory_0_long_key": state["0.memory_0_long_key"].astype(float)}),
        "changed",
    ),
}


@pytest.mark.parametrize("case", DAMAGED_STATES)
def test_damaged_states_rejected(exported, case):
    damage, message = DAMAGED_STATES[case]
    runtime = exported[1].fresh()
    runtime.step(clip(1)[0], MASKS[0])
    state = {name: np.array(value) for name, value in runtime.state_dict().items()}
    damage(state)
    with pytest.raises(aotlab_runtime.InputError, match=message) as raised:
        runtime.load_state_dict(state)
    assert "\n" not in str(raised.value)
    assert runtime.ids == (1, 2)  # unchanged


def test_state_of_another_export_rejected(exported, monkeypatch):
    runtime = exported[1].fresh()
    state = runtime.state_dict()
    monkeypatch.setattr(runtime.graphs, "digest", "other")
    with pytest.raises(
        aotlab_runtime.InputError, match=r"saved with another export .* load the export that saved"
    ):
        runtime.load_state_dict(state)


@pytest.mark.parametrize("part", ["header", "long_key"])
def test_damaged_state_file_rejected(exported, part):
    runtime = exported[1].fresh()
    runtime.step(clip(1)[0], MASKS[0])
    state, file = runtime.state_dict(), io.BytesIO()
    np.savez(file, **state)
    (content,) = (array.tobytes() for name, array in state.items() if part in name)
    damaged = bytearray(file.getvalue())
    damaged[damaged.index(content) + 8] ^= 1
    with pytest.raises(aotlab_runtime.InputError, match=r"tracker state: invalid .*CRC"):
        runtime.fresh().load_state_dict(np.load(io.BytesIO(damaged)))
