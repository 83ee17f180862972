"""Tracker states: saved in the middle of a video, and resumed by another tracker."""

import pickle

import numpy as np
import pytest
import torch

from aotlab.engine.tracking.tracker import Tracker
from aotlab.utils.errors import InputError
from aotlab_testing.marks import slow
from aotlab_testing.small_model import assert_resumes, assert_same, build, draw_stripes, draw_texture, run_tracker

LATE = {0: draw_stripes([4, 9]), 3: draw_stripes([0, 0, 5, 0, 7])}


@pytest.fixture(scope="module")
def bounded_models():
    """Models whose memory overflows within a few frames."""
    settings = ["memory.frames=2", "memory.every=2", "memory.short_term_frames=2", "model.stages.0.depth=2"]
    return {
        policy: build("aotl", "model.max_objects=3", f"memory.policy={policy}", *settings)
        for policy in ("every_nth", "bounded_fifo", "rmem", "ermu")
    } | {"first_frame": build("aott", "model.max_objects=3")}


def save_state(tracker, path):
    torch.save(tracker.state_dict(), path)
    return torch.load(path, weights_only=True)


def resume(model, state):
    tracker = Tracker(*model)
    tracker.load_state_dict(state)
    return tracker


@pytest.mark.parametrize("policy", ["every_nth", "rmem", *slow("bounded_fifo", "ermu", "first_frame")])
def test_resumed_run_equals_whole_run_exactly(bounded_models, tmp_path, policy):
    for split in (2, 7):  # before the late objects, and after bounded banks have dropped frames
        assert_resumes(bounded_models[policy], draw_texture(9), LATE, split, tmp_path)


def test_length_of_the_video_is_stored(bounded_models, tmp_path):
    tracker = Tracker(*bounded_models["every_nth"])
    tracker.reset(np.int64(3000))
    other = resume(bounded_models["every_nth"], save_state(tracker, tmp_path / "state.pt"))
    assert other.state.length == 3000


def test_pickled_tracker_continues_equally(bounded_models):
    frames, tracker = draw_texture(5), Tracker(*bounded_models["rmem"])
    run_tracker(tracker, frames[:3], {0: draw_stripes([4, 9])})
    other = pickle.loads(pickle.dumps(tracker))
    assert_same(run_tracker(other, frames[3:], {}), run_tracker(tracker, frames[3:], {}))


@pytest.mark.parametrize("policy", ["bounded_fifo", "rmem"])
def test_saved_state_is_independent_of_tracker(bounded_models, policy):
    frames, tracker = draw_texture(8), Tracker(*bounded_models[policy])
    run_tracker(tracker, frames[:4], {0: draw_stripes([4, 9])})
    state = tracker.state_dict()
    expected = run_tracker(tracker, frames[4:], {})
    found = run_tracker(resume(bounded_models[policy], state), frames[4:], {})
    assert_same(found, expected)


def test_states_without_mask_or_with_forgotten_objects_resume(bounded_models, tmp_path):
    frames = draw_texture(5)
    first = Tracker(*bounded_models["every_nth"])
    first.step(frames[0])
    second = resume(bounded_models["every_nth"], save_state(first, tmp_path / "state.pt"))
    run_tracker(second, frames[1:3], LATE)
    second.forget(4)
    third = resume(bounded_models["every_nth"], save_state(second, tmp_path / "state.pt"))
    assert third.ids == (9,)
    np.testing.assert_array_equal(third.step(frames[3]).logits, second.step(frames[3]).logits)


def test_state_of_other_settings_rejected(bounded_models):
    tracker = Tracker(*bounded_models["every_nth"])
    with pytest.raises(InputError, match="saved with other memory"):
        tracker.load_state_dict(Tracker(*bounded_models["rmem"]).state_dict())


@pytest.mark.parametrize("copied", [False, True])
def test_state_of_other_weights_rejected(copied):
    model, config = build("aott")
    tracker = Tracker(model, config, optimize=copied)
    state = tracker.state_dict()
    with torch.no_grad():
        model.decoder.conv_out.bias += 1
    with pytest.raises(InputError, match="saved with other weights"):
        (Tracker(model, config) if copied else tracker).load_state_dict(state)


def test_state_of_other_precision_rejected():
    model, config = build("aott")
    other = config.replace(compute={"precision": "bfloat16"})
    with pytest.raises(InputError, match=r"saved with other precision$"):
        Tracker(model, other).load_state_dict(Tracker(model, config).state_dict())


def test_rejected_state_does_not_change_the_tracker(bounded_models):
    frames = draw_texture(5)
    tracker, other = (Tracker(*bounded_models["rmem"]) for _ in range(2))
    for each in (tracker, other):
        run_tracker(each, frames[:3], {0: draw_stripes([4, 9])})
    state = other.state_dict()
    for changes in ({"kind": "prompts"}, {"version": 0}, {"frame_shape": [33]}):
        with pytest.raises(InputError, match="tracker state: "):
            tracker.load_state_dict({**state, **changes})
    assert tracker.ids == other.ids
    expected, found = run_tracker(other, frames[3:], {}), run_tracker(tracker, frames[3:], {})
    assert_same(found, expected)
