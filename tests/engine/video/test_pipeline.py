"""Reading ahead, writing behind, and what is left when one of them fails or somebody stops the run."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from aotlab.engine.video import outputs
from aotlab.engine.video.track import TrackOptions, track
from aotlab.media.masks import read_mask
from aotlab.media.video import open_frames
from aotlab.utils.errors import InputError

MASK = np.pad(np.ones((16, 16), np.uint8), 8)
QUIET = TrackOptions(progress=False)


class Source:
    """Frames of one brightness each; ``at`` runs something before a frame is given."""

    name, size, rate, length, variable, live = "fake", (32, 32), Fraction(50), None, False, False
    damaged, lost, levels, sound = [], 0, None, None

    def __init__(self, count=6, at=None, live=False):
        self.count, self.at, self.live, self.given = count, at or {}, live, 0

    def stem(self, index):
        return f"{index:05d}"

    def time(self, index):
        return index / self.rate

    def __iter__(self):
        for index in range(self.count):
            self.at.get(index, lambda: None)()
            self.given = index + 1
            yield np.full((32, 32, 3), index, np.uint8)


class Echo:
    """Answers with the mask it was given first; ``at`` runs something on a frame of that brightness."""

    def __init__(self, at=None, delay=0.0):
        self.at, self.delay, self.seen = at or {}, delay, []

    def step(self, frame, mask=None):
        number = int(frame[0, 0, 0])
        self.seen.append(number)
        self.at.get(number, lambda: None)()
        time.sleep(self.delay)
        probabilities = SimpleNamespace(ids=(1,), labels=MASK, confidence={1: 1.0})
        return probabilities


def fail(error):
    def act():
        raise error

    return act


def written(tmp_path):
    """Numbers of the masks, all of which can be read, and frames of the overlay."""
    masks = sorted((tmp_path / "masks").iterdir())
    assert all((read_mask(path) == MASK).all() for path in masks)
    overlay = tmp_path / "overlay.mp4"
    count = len(list(open_frames(overlay))) if overlay.exists() else 0
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"masks", "overlay.mp4", "coco.json"}, left
    return [int(path.stem) for path in masks], count


def test_frames_pass_in_order(tmp_path):
    tracker = Echo()
    result = track(tracker, Source(), {0: MASK}, tmp_path, QUIET)
    assert tracker.seen == list(range(6))
    assert written(tmp_path) == (list(range(6)), 6)
    assert (result.frames, result.dropped, result.interrupted, result.error) == (6, 0, False, None)


def test_stalled_source_keeps_what_came(tmp_path):
    release = threading.Event()
    source = Source(at={3: lambda: release.wait(120)})
    result = track(Echo(), source, {0: MASK}, tmp_path, TrackOptions(timeout=0.3, progress=False))
    release.set()
    assert result.error.startswith("fake: no frame for 0.3 seconds")
    assert written(tmp_path) == ([0, 1, 2], 3)


def test_broken_source_keeps_what_came(tmp_path):
    result = track(Echo(), Source(at={2: fail(InputError("it broke"))}), {0: MASK}, tmp_path, QUIET)
    assert result.error == "it broke"
    assert written(tmp_path) == ([0, 1], 2)


def test_full_disk_keeps_what_fitted(tmp_path, monkeypatch):
    write = outputs.write_mask

    def full(path, labels):
        if path.stem == "00003":
            raise InputError(f"{path}: cannot be written (No space left on device)")
        write(path, labels)

    monkeypatch.setattr(outputs, "write_mask", full)
    source = Source(60)
    options = TrackOptions(write=("masks", "overlay", "coco"), progress=False)
    result = track(Echo(), source, {0: MASK}, tmp_path, options)
    assert "No space left" in result.error
    assert result.frames == 3
    assert written(tmp_path) == ([0, 1, 2], 3)
    assert len(json.loads((tmp_path / "coco.json").read_text())["images"]) == 3
    assert source.given < 20  # and the rest of the video was not run for nothing


def test_unfinished_overlay_is_reported_and_masks_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(
        outputs.VideoFile, "finish", lambda self: (self.drop(), fail(InputError("disk is full"))())
    )
    result = track(Echo(), Source(), {0: MASK}, tmp_path, QUIET)
    assert result.error == "disk is full (not completed: overlay.mp4)"
    assert list(result.written) == ["masks"]
    assert written(tmp_path) == (list(range(6)), 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_finishes_all_files(tmp_path, number):
    tracker = Echo(at={3: lambda: os.kill(os.getpid(), number)})
    result = track(tracker, Source(100), {0: MASK}, tmp_path, QUIET)
    assert (result.interrupted, result.error) == (True, None)
    assert written(tmp_path) == ([0, 1, 2, 3], 4)


def test_signal_stops_a_silent_source(tmp_path):
    release = threading.Event()
    source = Source(at={3: lambda: (time.sleep(0.2), os.kill(os.getpid(), signal.SIGINT), release.wait(120))})
    result = track(Echo(), source, {0: MASK}, tmp_path, QUIET)
    release.set()
    assert result.interrupted
    assert written(tmp_path) == ([0, 1, 2], 3)


def test_second_interrupt_leaves_no_half_video(tmp_path):
    halves = []

    def twice():
        time.sleep(0.2)  # the writer comes after
        halves.extend(tmp_path.glob(".overlay*"))
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)

    # so many that the encoder has begun to write
    with pytest.raises(KeyboardInterrupt):
        track(Echo(at={99: twice}), Source(200), {0: MASK}, tmp_path, QUIET)
    assert len(halves) == 1
    assert written(tmp_path)[1] == 0


def test_realtime_never_skips_annotated_frames(tmp_path):
    tracker, source = Echo(delay=0.1), Source(30)
    options = TrackOptions(realtime=True, progress=False)
    result = track(tracker, source, {0: MASK, 7: MASK, 8: MASK}, tmp_path, options)
    assert result.dropped == 30 - result.frames > 5
    assert {0, 7, 8} <= set(tracker.seen)
    assert tracker.seen == sorted(tracker.seen)
    numbers, count = written(tmp_path)
    assert numbers == tracker.seen
    assert count == len(numbers)
    video = open_frames(tmp_path / "overlay.mp4")
    shown = [round(video.time(index) * 50) for index, _ in enumerate(video)]
    assert shown[-1] == numbers[-1] - numbers[0]
