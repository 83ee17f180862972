"""Steps that fail in the middle, and trackers that several threads share."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch

from aotlab.engine.hooks.cuts import CutDetection
from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.tracking.prediction import Prediction
from aotlab.engine.tracking.tracker import Tracker
from aotlab.utils.errors import InputError
from aotlab_testing.processes import WAIT_SECONDS, wait_for_event
from aotlab_testing.small_model import assert_same, build, draw_stripes, draw_texture, run_tracker

FIRST, LATER, NEWEST = draw_stripes([1, 2]), draw_stripes([0, 0, 0, 0, 3, 4, 5, 6]), draw_stripes([7, 8, 9, 1])


@pytest.fixture(scope="module")
def rmem():
    memory = ("memory.every=1", "memory.frames=3", "memory.policy=rmem", "rules.cuts=true", "rules.after_cut=continue")
    return build("aotl", "model.max_objects=3", *memory)


def start_tracking(setting, frames):
    """A tracker of two banks."""
    tracker = Tracker(*setting)
    for frame, mask in zip(frames, (FIRST, None, LATER, None), strict=False):
        tracker.step(frame, mask)
    return tracker


def fail_call(monkeypatch, owner, name, call, error):
    """Let a method fail at one of its calls, as an interrupt or too little memory may."""
    method, calls = getattr(owner, name), []

    def fail(*args, **options):
        calls.append(name)
        if len(calls) == call:
            raise error
        return method(*args, **options)

    monkeypatch.setattr(owner, name, fail)


@pytest.mark.parametrize("name", ["encode", "propagate", "assign_identities", "memorize"])
def test_failed_first_step_does_not_start_a_video(rmem, monkeypatch, name):
    frames, tracker = draw_texture(2), Tracker(*rmem)
    with monkeypatch.context() as patch:
        fail_call(patch, tracker.model, name, 1, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            tracker.step(frames[0], FIRST)
    assert tracker.ids == ()
    np.testing.assert_array_equal(tracker.step(frames[1], LATER).labels, LATER)


FAILURES = {
    "first reference": (MemoryBank, "add_reference", 1, 0, FIRST),
    "later reference": (MemoryBank, "add_reference", 2, 4, NEWEST),
    "frame": (MemoryBank, "add", 2, 4, None),
}
"""Owner and name of what fails, at which call, after how many frames, and the mask of the step."""


@pytest.mark.parametrize("remedy", ["reset", "load_state_dict"])
@pytest.mark.parametrize("case", FAILURES)
def test_failed_update_of_memory_requires_reset(rmem, monkeypatch, case, remedy):
    owner, name, call, count, mask = FAILURES[case]
    frames = draw_texture(6)
    tracker, other = (start_tracking(rmem, frames[:count]) for _ in range(2))
    with monkeypatch.context() as patch:
        fail_call(patch, owner, name, call, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            tracker.step(frames[4], mask)
    for use in (
        lambda: tracker.step(frames[4]),
        lambda: tracker.step(frames[4], FIRST),
        *(partial(tracker.forget, object_id) for object_id in tracker.ids),
        tracker.state_dict,
    ):
        with pytest.raises(InputError, match=r"failed while updating memory.*call reset\(\)"):
            use()
    if remedy == "reset":
        mask = FIRST
        tracker.reset()
        other.reset()
    else:
        tracker.load_state_dict(copy.deepcopy(other.state_dict()))
    assert_same(run_tracker(tracker, frames[4:], {0: mask}), run_tracker(other, frames[4:], {0: mask}))


@pytest.mark.parametrize(("owner", "name"), [(CutDetection, "stored"), (Prediction, "resize")])
def test_failure_after_storing_loses_only_the_prediction(rmem, monkeypatch, owner, name):
    frames = draw_texture(6)
    tracker, other = (start_tracking(rmem, frames[:4]) for _ in range(2))
    with monkeypatch.context() as patch:
        fail_call(patch, owner, name, 1, ValueError("an own mistake"))
        with pytest.raises(ValueError, match="an own mistake"):
            tracker.step(frames[4])
    other.step(frames[4])
    assert_same([tracker.step(frames[5])], [other.step(frames[5])])


def test_fresh_trackers_in_threads_are_independent(rmem):
    frames, first = draw_texture(5), Tracker(*rmem)

    def track(tracker):
        return run_tracker(tracker, frames, {0: FIRST})

    expected = track(Tracker(*rmem))
    with ThreadPoolExecutor(3) as threads:
        for found in threads.map(track, [first.fresh() for _ in range(3)]):
            assert_same(found, expected)


def test_trackers_do_not_change_the_autocast_of_other_threads(rmem):
    first = Tracker(*rmem, optimize=False)
    second = first.fresh()
    with torch.autocast("cpu", torch.bfloat16):
        with first.autocast(), ThreadPoolExecutor(1) as threads:
            threads.submit(second.autocast().__enter__).result(WAIT_SECONDS)
        assert torch.is_autocast_enabled("cpu")


def test_second_thread_in_one_tracker_rejected(rmem, monkeypatch):
    frames = draw_texture(6)
    tracker, other = start_tracking(rmem, frames), start_tracking(rmem, frames)
    decode, inside, proceed = tracker.model.decode, threading.Event(), threading.Event()

    def wait(*args):
        inside.set()
        wait_for_event(proceed)
        return decode(*args)

    with ThreadPoolExecutor(1) as thread:
        with monkeypatch.context() as patch:
            patch.setattr(tracker.model, "decode", wait)
            step = thread.submit(tracker.step, frames[5])
            wait_for_event(inside)
        np.testing.assert_array_equal(tracker.step(frames[4]).logits, other.step(frames[4]).logits)
        proceed.set()
        with pytest.raises(InputError, match=r"out of date; .* another thread"):
            step.result()
    np.testing.assert_array_equal(tracker.step(frames[5]).logits, other.step(frames[5]).logits)


def test_prediction_from_before_a_forgotten_object_is_not_stored(rmem):
    frames, tracker = draw_texture(3), Tracker(*rmem)
    tracker.step(frames[0], FIRST)
    predicted = tracker.predict(frames[1])
    tracker.forget(1)
    with pytest.raises(InputError, match="tracker: this prediction is out of date; call predict again"):
        tracker.commit(predicted)
    assert set(np.unique(tracker.step(frames[2]).labels)) <= {0, 2}
