"""Saved states of the runtime's tracker."""

import io
import json

import numpy as np
import pytest
from torch.utils import _pytree as pytree

import aotlab_runtime
from aotlab_testing.small_model import draw_texture
from runtime.tests.exports import MASKS


def test_resumed_tracker_gives_equal_masks(tracker):
    frames = draw_texture(5)
    tracker.step(frames[0], MASKS[0])
    tracker.step(frames[1])
    other = tracker.fresh()
    other.load_state_dict(tracker.state_dict())
    for frame in frames[2:]:
        np.testing.assert_array_equal(tracker.step(frame).labels, other.step(frame).labels)


def test_state_is_saved_by_numpy(exported):
    runtime = exported[1].fresh()
    runtime.reset(9)
    runtime.step(draw_texture(1)[0], MASKS[0])
    file = io.BytesIO()
    np.savez(file, **dict(sorted(runtime.state_dict().items())))
    file.seek(0)
    other = runtime.fresh()
    other.load_state_dict(np.load(file))
    assert other.state_dict()["header"] == runtime.state_dict()["header"]


def change_header(state, **values):
    header = json.loads(str(state["header"])) | values
    state["header"] = np.array(json.dumps({name: x for name, x in header.items() if x is not ...}))


DAMAGED_STATES = {
    "missing header": lambda state: state.pop("header"),
    "missing digest": lambda state: state.pop("digest"),
    "missing version": lambda state: change_header(state, version=...),
    "other header": lambda state: state.update(header=np.array("[")),
    "another version": lambda state: change_header(state, version=10),
    "changed array": lambda state: state.update(array_0=state["array_0"] + 1),
}


@pytest.mark.parametrize("case", DAMAGED_STATES)
def test_damaged_states_rejected(exported, case):
    runtime, other = exported[1].fresh(), exported[1].fresh()
    for same_tracker in (runtime, other):
        same_tracker.step(draw_texture(2)[0], MASKS[0])
    expected = other.step(draw_texture(2)[1]).logits
    state = {name: np.array(value) for name, value in runtime.state_dict().items()}
    DAMAGED_STATES[case](state)
    with pytest.raises(aotlab_runtime.InputError, match="tracker state: invalid") as raised:
        runtime.load_state_dict(state)
    assert "\n" not in str(raised.value)
    np.testing.assert_array_equal(runtime.step(draw_texture(2)[1]).logits, expected)  # unchanged


@pytest.mark.parametrize("state", [None, [], {}, "state.npz", {"header": np.array("{}")}, {"header": np.array("[]")}])
def test_other_objects_are_not_states(tracker, state):
    with pytest.raises(ValueError, match=r"tracker state: .*by another program|with another export"):
        tracker.load_state_dict(state)


def test_state_of_the_other_package_rejected(exported):
    trackers = [tracker.fresh() for tracker in exported[1:]]
    states = [tracker.state_dict() for tracker in trackers]
    for tracker, state in zip(trackers, reversed(states), strict=True):
        with pytest.raises(ValueError, match=r"tracker state: .* by another program"):
            tracker.load_state_dict(state)


def test_changes_of_a_state_do_not_reach_its_trackers(tracker):
    frames, other = draw_texture(3), tracker.fresh()
    tracker.step(frames[0], MASKS[0])
    tracker.step(frames[1])
    state = tracker.state_dict()
    other.load_state_dict(state)
    for array in pytree.tree_leaves(state):
        if getattr(array, "ndim", 0):
            array[...] = 0
    expected = tracker.step(frames[2])
    assert (expected.labels > 0).any()
    np.testing.assert_array_equal(other.step(frames[2]).logits, expected.logits)


def test_state_of_another_export_rejected(exported, monkeypatch):
    runtime = exported[1].fresh()
    state = runtime.state_dict()
    monkeypatch.setattr(runtime.graphs, "digest", "other")
    with pytest.raises(aotlab_runtime.InputError, match=r"saved with another export .*; save it with this export"):
        runtime.load_state_dict(state)


@pytest.mark.parametrize("name", ["header", "digest", "array_0"])
def test_damaged_state_file_rejected(exported, name):
    runtime = exported[1].fresh()
    runtime.step(draw_texture(1)[0], MASKS[0])
    state, file = runtime.state_dict(), io.BytesIO()
    np.savez(file, **state)
    damaged = bytearray(file.getvalue())
    damaged[damaged.index(state[name].tobytes()) + 8] ^= 1
    with pytest.raises(aotlab_runtime.InputError, match=r"tracker state: invalid .*CRC"):
        runtime.fresh().load_state_dict(np.load(io.BytesIO(damaged)))
