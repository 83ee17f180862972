"""What frames of a very long video take: played clips, banks, own processes, and their ends."""

from __future__ import annotations

import mmap
import multiprocessing
import re
import threading

import numpy as np
import pytest

from aotlab.engine.tracker import BUNDLED_CHECKPOINT, Tracker
from aotlab.networks.weights.checkpoints import load_checkpoint
from aotlab.utils.errors import InputError
from benchmarks import long_run as endurance
from benchmarks.long_run import Course, Trial, measure_frames, resident_bytes, run_in_process
from benchmarks.looped import bounce
from tests.engine.small_model import build, clip, stripes

FRAMES = 17


def banks(policy):
    """(frames kept, bytes) after each of `FRAMES` frames of a clip of four, with one frame in two remembered."""
    model, config = build("aott", f"memory.policy={policy}", "memory.every=2", "memory.frames=4")
    samples = list(measure_frames(Tracker(model, config), clip(4), stripes([1, 2]), FRAMES))
    assert len(samples) == FRAMES
    assert all(sample.seconds > 0 and sample.resident > 2**20 for sample in samples)
    return [sample.kept for sample in samples], [sample.bank for sample in samples]


@pytest.mark.parametrize("policy", ["first_frame", "bounded_fifo", "restricted", "relevance_redundancy"])
def test_bounded_memory_is_measured_flat_after_it_has_filled(policy):
    kept, size = banks(policy)
    most = 1 if policy == "first_frame" else 4
    assert max(kept) == kept[6] == most
    assert len(set(size[6:])) == 1


def test_unbounded_memory_is_measured_growing():
    kept, size = banks("every_nth")
    assert kept == [1 + index // 2 for index in range(FRAMES)]
    assert size[-1] >= (1 + FRAMES // 2) * size[0]


def test_a_tracker_sees_the_clip_forward_and_backward_and_one_mask(monkeypatch):
    tracker, frames, mask = Tracker(*build("aott")), clip(4), stripes([1])
    seen, original = [], tracker.step
    monkeypatch.setattr(
        tracker, "step", lambda frame, given=None: seen.append((frame, given)) or original(frame, given)
    )
    tracker.step(frames[2], mask)  # something before, which must be forgotten
    samples = list(measure_frames(tracker, frames, mask, 9))
    assert [sample.kept for sample in samples] == [1] * 9
    for index, (frame, given) in enumerate(seen[1:]):
        assert frame is not None
        assert np.array_equal(frame, frames[bounce(index, 4)])
        assert (given is mask) == (index == 0)


def test_resident_memory_is_that_of_the_process():
    before = resident_bytes()
    block = mmap.mmap(-1, 64 * 2**20)  # pages of its own, not some that were freed before
    block.write(bytes(len(block)))
    # what the interpreter gives back or takes meanwhile is far less than a quarter of it
    assert resident_bytes() - before > 48 * 2**20
    block.close()


def test_a_system_that_does_not_tell_its_memory_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(endurance, "STATM", tmp_path / "none")
    with pytest.raises(InputError, match="resident memory is measured on Linux"):
        resident_bytes()


def trial(frames=6, stop_above=None, checkpoint=BUNDLED_CHECKPOINT, overrides=("memory.policy=first_frame",)):
    return Trial(checkpoint, None, overrides, "cpu", list(clip(3)), stripes([1]), frames, stop_above)


@pytest.mark.slow  # as all below, which start a process that imports PyTorch
def test_a_trial_runs_in_a_fresh_process(tmp_path, monkeypatch):
    # a copy of this process would have no memory to read either
    monkeypatch.setattr(endurance, "STATM", tmp_path / "none")
    ticks = []
    course = run_in_process(trial(), threading.Event(), lambda: ticks.append(1))
    assert (len(course.samples), course.ended, course.failed) == (6, None, False)
    assert len(ticks) == 6


@pytest.mark.slow
def test_a_trial_that_takes_too_much_ends_and_says_where():
    course = run_in_process(trial(stop_above=2**20), threading.Event(), lambda: None)
    assert len(course.samples) == 1
    assert course == Course(course.samples, "stopped at frame 0: resident memory above 0.00 GB", False)


@pytest.mark.slow
def test_an_interrupted_trial_keeps_what_was_measured():
    stop, ticks = threading.Event(), []

    def tick():
        ticks.append(1)
        if len(ticks) == 5:
            stop.set()

    course = run_in_process(trial(frames=100_000), stop, tick)
    assert course == Course(course.samples, "interrupted after 5 frames", False)
    assert len(course.samples) == 5
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_process_that_is_killed_is_told_and_what_it_measured_is_kept():
    course = run_in_process(
        trial(frames=100_000),
        threading.Event(),
        lambda: [child.kill() for child in multiprocessing.active_children()],
    )
    assert course.failed
    assert course.samples
    assert re.fullmatch(r"died after \d+ frames \(exit status -9\)", course.ended or "")


@pytest.mark.slow
def test_what_the_process_finds_wrong_is_the_same_sentence(tmp_path):
    missing = tmp_path / "none.safetensors"
    with pytest.raises(InputError) as here:
        load_checkpoint(missing)
    with pytest.raises(InputError) as there:
        run_in_process(trial(checkpoint=missing), threading.Event(), lambda: None)
    assert str(there.value) == str(here.value)
