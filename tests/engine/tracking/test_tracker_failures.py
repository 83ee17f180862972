"""Steps that fail in the middle, and trackers that several threads share."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from aotlab.engine import recurrence
from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.rules.rules import TrackerRules
from aotlab.engine.tracking.prediction import Prediction
from aotlab.engine.tracking.tracker import Tracker
from aotlab.utils.errors import InputError
from tests.engine.small_model import assert_same, build, draw_texture, run_tracker, stripes

FIRST, LATER, NEWEST = stripes([1, 2]), stripes([0, 0, 0, 0, 3, 4, 5, 6]), stripes([7, 8, 9, 1])


@pytest.fixture(scope="module")
def restricted():
    memory = ("memory.every=1", "memory.frames=3", "memory.policy=restricted")
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
def test_failed_first_step_does_not_start_a_video(restricted, monkeypatch, name):
    frames, tracker = draw_texture(2), Tracker(*restricted)
    with monkeypatch.context() as patch:
        fail_call(patch, tracker.model, name, 1, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            tracker.step(frames[0], FIRST)
    assert tracker.ids == ()
    assert (tracker.step(frames[1], LATER).labels == LATER).all()


@pytest.mark.parametrize(("name", "mask"), [("add", None), ("add_reference", NEWEST), ("relevance", None)])
def test_failed_memory_update_requires_reset(restricted, monkeypatch, name, mask):
    frames = draw_texture(6)
    tracker, other = start_tracking(restricted, frames), start_tracking(restricted, frames)
    state = copy.deepcopy(other.state_dict())
    with monkeypatch.context() as patch:
        if name == "relevance":
            fail_call(patch, recurrence, "compute_relevance", 1, KeyboardInterrupt())
        else:
            fail_call(patch, MemoryBank, name, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            tracker.step(frames[4], mask)
    for call in (lambda: tracker.step(frames[4]), tracker.state_dict):
        with pytest.raises(InputError, match=r"failed while updating memory.*call reset\(\)"):
            call()
    tracker.load_state_dict(state)
    assert torch.equal(tracker.step(frames[4]).logits, other.step(frames[4]).logits)


def test_failed_first_memory_update_requires_reset(restricted, monkeypatch):
    frames, tracker = draw_texture(2), Tracker(*restricted)
    with monkeypatch.context() as patch:
        fail_call(patch, MemoryBank, "add_reference", 1, RuntimeError("out of memory"))
        with pytest.raises(RuntimeError):
            tracker.step(frames[0], FIRST)
    for mask in (None, FIRST):
        with pytest.raises(InputError, match="failed while updating memory"):
            tracker.step(frames[0], mask)
    tracker.reset()
    assert tracker.step(frames[1], FIRST).ids == (1, 2)


def test_failed_resize_of_a_stored_frame_requires_reset(restricted, monkeypatch):
    frames = draw_texture(2)
    tracker = Tracker(*restricted)
    tracker.step(frames[0], FIRST)
    with monkeypatch.context() as patch:
        fail_call(patch, Prediction, "resize", 1, MemoryError)
        with pytest.raises(MemoryError):
            tracker.step(frames[1])
    with pytest.raises(InputError, match="reset"):
        tracker.step(frames[1])
    tracker.reset()
    tracker.step(frames[0], FIRST)


def test_failed_rule_requires_reset(monkeypatch):
    frames, tracker = draw_texture(4), Tracker(*build("aott", "rules.ownership=true"))
    tracker.step(frames[0], FIRST)
    state = copy.deepcopy(tracker.state_dict())
    with monkeypatch.context() as patch:
        patch.setattr(TrackerRules, "update", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tracker.step(frames[1])
    for call in (lambda: tracker.step(frames[1]), lambda: tracker.forget(1), tracker.state_dict):
        with pytest.raises(InputError, match=r"failed while updating memory.*call reset\(\)"):
            call()
    tracker.load_state_dict(state)
    tracker.step(frames[1])
    tracker.reset()
    tracker.step(frames[2], FIRST)


def test_fresh_trackers_in_threads_are_independent(restricted):
    frames, first = draw_texture(5), Tracker(*restricted)
    found = {}

    def work(number, tracker):
        tracker.step(frames[0], FIRST)
        found[number] = run_tracker(tracker, frames[1:], {})

    work(0, Tracker(*restricted))
    threads = [threading.Thread(target=work, args=(number, first.fresh())) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in (1, 2, 3):
        assert_same(found[number], found[0])


def test_trackers_leave_the_autocast_of_other_threads(restricted):
    first = Tracker(*restricted, optimize=False)
    second = first.fresh()
    with torch.autocast("cpu", torch.bfloat16):
        with first.autocast():
            thread = threading.Thread(target=second.autocast().__enter__)
            thread.start()
            thread.join()
        assert torch.is_autocast_enabled("cpu")


def test_second_thread_in_one_tracker_rejected(restricted, monkeypatch):
    frames = draw_texture(6)
    tracker, other = start_tracking(restricted, frames), start_tracking(restricted, frames)
    decode, inside, proceed = tracker.model.decode, threading.Event(), threading.Event()

    def wait(*args):
        inside.set()
        proceed.wait(60)
        return decode(*args)

    with ThreadPoolExecutor(1) as thread:
        with monkeypatch.context() as patch:
            patch.setattr(tracker.model, "decode", wait)
            step = thread.submit(tracker.step, frames[5])
            inside.wait(60)
        assert torch.equal(tracker.step(frames[4]).logits, other.step(frames[4]).logits)
        proceed.set()
        with pytest.raises(InputError, match="one tracker per thread"):
            step.result()
    assert torch.equal(tracker.step(frames[5]).logits, other.step(frames[5]).logits)


def test_prediction_from_before_a_forgotten_object_is_not_stored(restricted):
    frames, tracker = draw_texture(3), Tracker(*restricted)
    tracker.step(frames[0], FIRST)
    predicted = tracker.predict(frames[1])
    tracker.forget(1)
    with pytest.raises(InputError, match="the tracker changed since"):
        tracker.commit(predicted)
    assert set(np.unique(tracker.step(frames[2]).labels)) <= {0, 2}
