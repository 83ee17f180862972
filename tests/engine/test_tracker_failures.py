"""Steps that fail in the middle, and trackers that several threads share, are copied or are pickled."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest
import torch

from aotlab.engine.tracker import Tracker
from aotlab.utils.errors import InputError
from tests.engine.small_model import build, clip, stripes

FIRST, LATER, NEWEST = stripes([1, 2]), stripes([0, 0, 0, 0, 3, 4, 5, 6]), stripes([7, 8, 9, 1])


@pytest.fixture(scope="module")
def restricted():
    return build(
        "aotl", "model.max_objects=3", "memory.every=1", "memory.frames=3", "memory.policy=restricted"
    )


def tracking(setting, frames):
    """A tracker of two banks."""
    tracker = Tracker(*setting)
    for frame, mask in zip(frames, (FIRST, None, LATER, None), strict=False):
        tracker.step(frame, mask)
    return tracker


def failing(monkeypatch, tracker, name, call, error):
    """Let a method of the model fail at one of its calls, as an interrupt or too little memory may."""
    method, calls = getattr(tracker.model, name), []

    def fail(*args, **options):
        calls.append(name)
        if len(calls) == call:
            raise error
        return method(*args, **options)

    monkeypatch.setattr(tracker.model, name, fail)


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt()])
@pytest.mark.parametrize("name", ["encode", "propagate", "assign_identities", "memorize"])
def test_a_first_mask_whose_step_fails_begins_no_video(restricted, monkeypatch, name, error):
    frames, tracker = clip(2), Tracker(*restricted)
    with monkeypatch.context() as patch:
        failing(patch, tracker, name, 1, error)
        with pytest.raises(type(error)):
            tracker.step(frames[0], FIRST)
    assert tracker.ids == ()
    assert (tracker.step(frames[1], LATER).labels == LATER).all()


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt()])
@pytest.mark.parametrize(
    ("name", "call", "mask"),
    [
        ("encode", 1, None),
        ("propagate", 2, None),
        ("memorize", 1, None),
        ("propagate", 3, NEWEST),
        ("memorize", 1, NEWEST),
    ],
)
def test_a_step_that_fails_before_memory_changes_may_be_taken_again(
    restricted, monkeypatch, name, call, mask, error
):
    frames = clip(6)
    tracker, twin = tracking(restricted, frames), tracking(restricted, frames)
    with monkeypatch.context() as patch:
        failing(patch, tracker, name, call, error)
        with pytest.raises(type(error)):
            tracker.step(frames[4], mask)
    assert tracker.ids == twin.ids
    for frame, given in ((frames[4], mask), (frames[5], None)):
        found, expected = tracker.step(frame, given), twin.step(frame, given)
        assert found.ids == expected.ids
        assert torch.equal(found.logits, expected.logits)


@pytest.mark.parametrize(
    ("name", "call", "mask"), [("memorize", 2, None), ("add_temporal", 1, None), ("memorize", 2, NEWEST)]
)
def test_a_step_that_fails_while_memory_changes_leaves_a_tracker_that_asks_for_a_reset(
    restricted, monkeypatch, name, call, mask
):
    frames = clip(6)
    tracker, twin = tracking(restricted, frames), tracking(restricted, frames)
    state = copy.deepcopy(twin.state_dict())
    with monkeypatch.context() as patch:
        failing(patch, tracker, name, call, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            tracker.step(frames[4], mask)
    for refused in (lambda: tracker.step(frames[4]), tracker.state_dict):
        with pytest.raises(InputError, match=r"in the middle of a step.*call reset\(\)"):
            refused()
    tracker.load_state_dict(state)
    assert torch.equal(tracker.step(frames[4]).logits, twin.step(frames[4]).logits)


def test_a_mask_that_fails_tells_how_many_groups_it_would_have_filled(restricted, monkeypatch):
    frames = clip(6)
    tracker = tracking(restricted, frames)
    assert tracker.groups == 2
    failing(monkeypatch, tracker, "memorize", 1, RuntimeError("out of memory"))
    with pytest.raises(RuntimeError):
        tracker.step(frames[4], NEWEST)
    assert (tracker.groups, len(tracker.ids)) == (3, 6)
    tracker.reset()
    assert tracker.groups == 0


def test_twins_track_in_threads_of_their_own_as_alone(restricted):
    frames, first = clip(5), Tracker(*restricted)
    found: dict[int, list[torch.Tensor]] = {}

    def work(number, tracker):
        tracker.step(frames[0], FIRST)
        found[number] = [tracker.step(frame).logits for frame in frames[1:]]

    work(0, Tracker(*restricted))
    threads = [threading.Thread(target=work, args=(number, first.twin())) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(
        torch.equal(*pair) for number in (1, 2, 3) for pair in zip(found[0], found[number], strict=True)
    )


def test_one_tracker_refuses_a_second_thread_and_goes_on(restricted, monkeypatch):
    frames = clip(6)
    tracker, twin = tracking(restricted, frames), tracking(restricted, frames)
    encode, inside, proceed = tracker.model.encode, threading.Event(), threading.Event()

    def wait(image):
        inside.set()
        proceed.wait(60)
        return encode(image)

    found = []
    with monkeypatch.context() as patch:
        patch.setattr(tracker.model, "encode", wait)
        thread = threading.Thread(target=lambda: found.append(tracker.step(frames[4])))
        thread.start()
        inside.wait(60)
        with pytest.raises(InputError, match="of another thread"):
            tracker.step(frames[5])
        proceed.set()
        thread.join()
    assert torch.equal(found[0].logits, twin.step(frames[4]).logits)
    assert torch.equal(tracker.step(frames[5]).logits, twin.step(frames[5]).logits)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda tracker: pickle.loads(pickle.dumps(tracker))])
def test_a_copy_goes_on_as_the_tracker_does(restricted, duplicate):
    frames = clip(6)
    tracker = tracking(restricted, frames)
    other = duplicate(tracker)
    for frame in frames[4:]:
        assert torch.equal(other.step(frame).logits, tracker.step(frame).logits)


@pytest.mark.parametrize("number", [0, -1, 3, None, "1", 2**70, [1], float("nan"), np.array([1, 2])])
def test_an_object_that_is_not_tracked_cannot_be_forgotten(restricted, number):
    tracker = Tracker(*restricted)
    tracker.step(clip(1)[0], FIRST)
    with pytest.raises(InputError, match=r"is not tracked; give one of \[1, 2\]"):
        tracker.forget(number)
    assert tracker.ids == (1, 2)
