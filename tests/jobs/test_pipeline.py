"""Tracking from frames to files: failures, stops, full disks and invalid input."""

import itertools
import json
import os
import signal
import threading
from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from aotlab.engine.tracking.tracker import Tracker
from aotlab.jobs import outputs
from aotlab.jobs.check import group_removals
from aotlab.jobs.inputs import FrameSelection
from aotlab.jobs.job import Job, JobOptions
from aotlab.jobs.outputs import BUILT_IN_OUTPUTS, Output, find_output
from aotlab.jobs.results import require_inputs_outside
from aotlab.jobs.track import pace_frames, run_job, track
from aotlab.media.frames import FrameSource
from aotlab.media.job_record import JOB_RECORD, JobRecord, read_job_record, write_job_record
from aotlab.media.masks import read_mask
from aotlab.media.regions import VideoInfo
from aotlab.media.video import open_frames
from aotlab.utils.errors import InputError
from tests.drawn_clips import write_images
from tests.engine.small_model import draw_stripes, draw_texture
from tests.limits import limit_file_size
from tests.marks import needs_posix
from tests.processes import wait_for_event, wait_until
from tests.repeating_tracker import RepeatingTracker

MASK = np.pad(np.ones((16, 16), np.uint8), 8)
QUIET = JobOptions(progress=False)
SIX_FRAMES = VideoInfo("six", (32, 32), 6)


class Source(FrameSource):
    """Frames of one brightness each; ``at`` calls a function before a frame is given."""

    name, size, rate, length = "fake", (32, 32), Fraction(50), None
    damaged_frames = ()

    def __init__(self, count=6, at=None, live=False):
        self.count, self.at, self.is_live, self.yielded = count, at or {}, live, 0
        self.ended = threading.Event()

    def __iter__(self):
        for index in range(self.count):
            self.at.get(index, lambda: None)()
            self.yielded = index + 1
            yield np.full((32, 32, 3), index, np.uint8)
        self.ended.set()


def make_tracker(at):
    """A tracker that calls a function before it tracks a frame of that brightness."""
    return RepeatingTracker(lambda frame: at.get(int(frame[0, 0, 0]), lambda: None)())


def read_outputs(tmp_path):
    """Return the frame numbers of the masks, which are all readable, and the number of frames of the overlay."""
    masks = sorted((tmp_path / "masks").iterdir())
    for path in masks:
        np.testing.assert_array_equal(read_mask(path), MASK)
    overlay = tmp_path / "overlay.mp4"
    count = len(list(open_frames(overlay))) if overlay.exists() else 0
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {JOB_RECORD, "masks", "overlay.mp4", "coco.json"}, left
    return [int(path.stem) for path in masks], count


def test_cuts_are_counted_by_frame_number(tmp_path, monkeypatch):
    step = RepeatingTracker.step
    monkeypatch.setattr(RepeatingTracker, "step", lambda *args: replace(step(*args), cut=args[1][0, 0, 0] == 4))
    monkeypatch.setattr(FrameSelection, "number", lambda self, index: index + 100)
    assert track(Source(), {0: MASK}, tmp_path, RepeatingTracker(), QUIET).cuts == (104,)


def test_stalled_source_keeps_received_frames(tmp_path, monkeypatch):
    stalled, release, minutes = threading.Event(), threading.Event(), itertools.count(0, 60)
    clock = SimpleNamespace(monotonic=lambda: next(minutes) if stalled.is_set() else 0)
    monkeypatch.setattr("aotlab.utils.streaming.time", clock)
    source = Source(at={3: lambda: (stalled.set(), wait_for_event(release))})
    result = track(source, {0: MASK}, tmp_path, RepeatingTracker(), QUIET)
    release.set()
    assert result.error.startswith("fake: no frame for 30 seconds")
    assert read_outputs(tmp_path) == ([0, 1, 2], 3)


def test_full_disk_keeps_complete_files(tmp_path, monkeypatch):
    write = outputs.write_mask

    def write_until_full(path, *args, **options):
        if path.stem == "00003":
            raise InputError(f"{path}: cannot be written (No space left on device)")
        write(path, *args, **options)

    monkeypatch.setattr(outputs, "write_mask", write_until_full)
    source = Source(60)
    options = JobOptions(write=("masks", "overlay", "coco"), progress=False)
    result = track(source, {0: MASK}, str(tmp_path), RepeatingTracker(), options)
    assert "No space left" in result.error
    assert result.frames == 3
    assert read_outputs(tmp_path) == ([0, 1, 2], 3)
    assert len(json.loads((tmp_path / "coco.json").read_text())["images"]) == 3
    assert source.yielded < 20  # and the rest of the video was not run for nothing


@needs_posix  # Windows wakes no waiting main thread
def test_signal_stops_a_silent_source(tmp_path):
    tracked, release = threading.Event(), threading.Event()
    source = Source(
        at={3: lambda: (wait_for_event(tracked), os.kill(os.getpid(), signal.SIGINT), wait_for_event(release))}
    )
    result = track(source, {0: MASK}, tmp_path, make_tracker({2: tracked.set}), QUIET)
    release.set()
    assert result.interrupted
    assert read_outputs(tmp_path) == ([0, 1, 2], 3)


def test_second_interrupt_removes_the_unfinished_video(tmp_path):
    half_videos = []

    def interrupt_twice():
        wait_until(lambda: list(tmp_path.glob(".overlay*")))  # the writer is a few frames behind
        half_videos.extend(tmp_path.glob(".overlay*"))
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    # so many that the encoder has begun to write
    with pytest.raises(KeyboardInterrupt) as interrupt:
        track(Source(200), {0: MASK}, tmp_path, make_tracker({99: interrupt_twice}), QUIET)
    assert interrupt.traceback  # it holds the writers, which would remove the video when they are collected
    assert len(half_videos) == 1
    assert read_outputs(tmp_path)[1] == 0


def test_realtime_keeps_annotated_frames_and_the_newest(tmp_path):
    source, seen = Source(30), []
    tracker = RepeatingTracker(lambda frame: seen.append(int(frame[0, 0, 0])) or wait_for_event(source.ended))
    options = JobOptions(realtime=True, progress=False)
    result = track(source, {0: MASK, 7: MASK, 8: MASK}, tmp_path, tracker, options)
    assert seen == [0, 7, 8, 29]
    assert (result.frames, result.dropped_frames) == (4, 26)
    assert read_outputs(tmp_path) == (seen, 4)
    video = open_frames(tmp_path / "overlay.mp4")
    assert [round(video.time(index) * 50) for index, _ in enumerate(video)] == seen


def test_realtime_waits_until_each_frame_is_due(monkeypatch):
    now = [7.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr("aotlab.jobs.track.time", clock)
    times = [(index, round(now[0] - 7, 6)) for index, _ in pace_frames(enumerate(Source(4)), Source())]
    assert times == [(0, 0), (1, 0.02), (2, 0.04), (3, 0.06)]


def test_file_that_may_not_grow_keeps_the_masks(tmp_path):
    with limit_file_size(6000):
        options = JobOptions(write=("masks", "coco"), progress=False)
        result = track(Source(60), {0: MASK}, tmp_path, RepeatingTracker(), options)
    assert list(result.written) == ["masks"]
    assert "coco.json" in result.error
    assert len(read_outputs(tmp_path)[0]) >= result.frames
    assert {path.name for path in tmp_path.iterdir()} == {JOB_RECORD, "masks"}


@pytest.fixture
def outputs_folder(tmp_path):
    """Frames inside ``out`` and beside it, and links to both."""
    for name in ("out/objects/1", "out/masks", "out/alpha/deep/er", "frames"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (48, 32)).save(tmp_path / name / "0.png")
    (tmp_path / "out" / "overlay.mp4").write_bytes(b"")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "0.png").symlink_to(tmp_path / "out" / "objects" / "1" / "0.png")
    (tmp_path / "other name").symlink_to(tmp_path / "out")
    return tmp_path


@pytest.mark.parametrize(("source", "output", "names", "overwrites"), [
    ("out/objects/1", "out", ["objects"], True), ("out/masks", "out", ["masks"], True),
    ("out/alpha/deep/er", "out", ["masks", "alpha"], True), ("out/overlay.mp4", "out", ["masks", "overlay"], True),
    ("links", "out", ["objects"], True), ("links", "other name", ["objects"], True),
    ("links", "links/../out", ["objects"], True), ("out/overlay.mp4", "out", ["masks"], False),
    ("frames", ".", BUILT_IN_OUTPUTS, False),
])  # fmt: skip
def test_results_never_overwrite_the_video(outputs_folder, source, output, names, overwrites):
    with pytest.raises(InputError, match="the results would overwrite") if overwrites else nullcontext():
        require_inputs_outside(
            [outputs_folder / source], [find_output(name).file_name for name in names], outputs_folder / output
        )


@pytest.mark.parametrize(("write", "words"), [
    (lambda folder: write_job_record(folder, JobRecord("a", input_digests={"video": ""})), "results of run_job"),
    (lambda folder: (folder / "overlay.mp4").write_text("mine"), "overlay.mp4, which aotlab did not write"),
])  # fmt: skip
def test_foreign_files_are_not_overwritten(tmp_path, write, words):
    write(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=f"already contains {words}"):
        track(Source(), {0: MASK}, tmp_path, RepeatingTracker(), QUIET)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_output_folder_of_the_video_rejected(models, tmp_path):
    write_images(tmp_path / "masks", draw_texture(3), "{:05d}.png")
    write_job_record(tmp_path, JobRecord("a", outputs={"masks": ["*.png"]}, last_frame=2, frames=3))
    tracker, options = Tracker(*models["aott"]), JobOptions(write=("masks",))
    for output, words in ((tmp_path, "would overwrite"), (tmp_path / "masks", "is the input folder")):
        with pytest.raises(InputError, match=words):
            track(tmp_path / "masks", {0: draw_stripes([4])}, output, tracker, options, force=True)
    assert len(list((tmp_path / "masks").iterdir())) == 3


class TwoFiles(Output):
    file_name, side_files = "two.txt", ("side.txt",)

    def finish(self):
        for name in (self.file_name, *self.side_files):
            self.path.with_name(name).write_text("x")

    def write(self, name, tracked):
        pass


def test_side_files_of_an_output_are_replaced_with_it(tmp_path, monkeypatch):
    monkeypatch.setitem(outputs.BUILT_IN_OUTPUTS, "two", TwoFiles)
    for write, names in (("two", {"two.txt", "side.txt"}), ("masks", {"masks"})):
        track(Source(), {0: MASK}, tmp_path, RepeatingTracker(), JobOptions(write=write, progress=False), force=True)
        assert {path.name for path in tmp_path.iterdir()} == {JOB_RECORD, *names}


def test_outputs_of_an_earlier_track_are_replaced_by_force(models, tmp_path):
    write_images(tmp_path / "in", draw_texture(6))
    source, out = open_frames(tmp_path / "in"), tmp_path / "out"
    options = JobOptions(write=("masks", "objects"), progress=False)
    tracker = Tracker(*models["aott"])
    assert track(source, {0: draw_stripes([4, 9])}, out, tracker, options).frames == 6
    mine = [out / "notes.txt", out / "masks" / "notes.txt"]
    for path in mine:
        path.write_text("mine")
    with pytest.raises(InputError, match="masks: frame 5 is not tracked"):
        track(source, {5: draw_stripes([4])}, out, tracker, options, frames=FrameSelection(source, end=2))
    with pytest.raises(InputError, match="mask: expected integer object ids"):
        track(source, {0: draw_stripes([4]) / 2}, out, tracker, options)
    run = partial(track, source, {0: draw_stripes([4])}, out, tracker, options, frames=FrameSelection(source, end=2))
    with pytest.raises(InputError, match="out: already contains results of unknown inputs; choose another output, or"):
        run()
    assert len([*(out / "masks").glob("*.png")]) == 6
    assert run(force=True).frames == 3
    assert len([*(out / "masks").glob("*.png")]) == 3
    assert [path.name for path in (out / "objects").iterdir()] == ["4"]
    assert {path.read_text() for path in mine} == {"mine"}
    assert read_job_record(out).frames == 3


@pytest.mark.parametrize(("masks", "frames", "words"), [
    ({}, None, "masks: none; pass {0: mask}"),
    ({0: MASK * np.uint32(70000)}, None, "frame 0: mask: object ids must be 0 to 65535, got 0 to 70000"),
    ({-1: MASK}, None, r"masks: frame -1 is not tracked \(0 to the end\)"),
    ({0: MASK, 3: MASK[:9]}, None, r"frame 3: mask: expected integer object ids of shape \(32, 32\), got"),
    ({0: MASK * 0}, None, "frame 0: mask: no objects"),
    ({0: MASK, 9: MASK}, FrameSelection(SIX_FRAMES), r"masks: frame 9 is not tracked \(0 to 5\)"),
])  # fmt: skip
def test_unusable_masks_rejected_before_tracking(tmp_path, masks, frames, words):
    tracker = RepeatingTracker()
    with pytest.raises(InputError, match=words):
        track(Source(), masks, tmp_path, tracker, QUIET, frames=frames)
    assert (tracker.annotated_ids, [*tmp_path.iterdir()]) == ([], [])


@pytest.mark.parametrize(("run", "words"), [
    (lambda job, folder: run_job(Job("clip", Path("clip"), ("a.png",)), folder), "^clip, a.png: no such file"),
    (lambda job, folder: run_job(replace(job, segmenter=("a", "b")), folder), "clip, a.png: no such file"),
    (lambda job, folder: track(Source(), {0: MASK}, folder, RepeatingTracker(), classes={1: 5}),
     "class: expected a text or a list of texts, got {1: 5}"),
    (lambda job, folder: track(Source(), {0: MASK}, folder, RepeatingTracker(), classes={7: "dog"}),
     "class dog: no mask or prompt has object 7"),
    (lambda job, folder: JobOptions(write=None), "^write: expected a text or a list of texts, got None$"),
])  # fmt: skip
def test_unusable_arguments_rejected(tmp_path, run, words):
    with pytest.raises(InputError, match=words):
        run(Job("clip", "clip", "a.png"), tmp_path)


def test_outputs_are_a_name_or_a_list():
    assert JobOptions(write="masks") == JobOptions(write=["masks"]) == JobOptions(write=("masks",))


def test_classes_are_names_by_object_id(tmp_path):
    options = JobOptions(write="coco", progress=False)
    for classes in ({1: "koi"}, {"1": "koi"}, ["koi"]):
        track(Source(), {0: MASK}, tmp_path, RepeatingTracker(), options, classes=classes, force=True)
        assert json.loads((tmp_path / "coco.json").read_text())["categories"][0]["name"] == "koi"


@pytest.mark.parametrize("removal", [(0, 1), (3, 5), (1, 2)])
def test_removal_of_an_absent_object_rejected(tmp_path, removal):
    tracker = RepeatingTracker()
    options = JobOptions(progress=False, removals=(removal,))
    with pytest.raises(InputError, match=rf"remove {removal[0]}:{removal[1]}: no mask of an earlier frame"):
        track(Source(), {0: MASK, 2: MASK * 2}, tmp_path, tracker, options)
    assert tracker.annotated_ids == []


def test_object_with_a_later_mask_is_removed_again():
    groups = group_removals(((4, 1), (2, 1)), {0: {1}, 2: {1}}, FrameSelection(Source()))
    assert groups == {2: [1], 4: [1]}


@pytest.mark.parametrize(("masks", "removals", "words"), [
    ({0: MASK, 9: MASK * 2}, (), "frame 9"),
    ({0: MASK}, ((10**6, 1),), "the mask or removal of frame 1000000 was not used"),
])  # fmt: skip
def test_input_after_the_last_frame_is_reported(tmp_path, masks, removals, words):
    result = track(Source(), masks, tmp_path, RepeatingTracker(), JobOptions(progress=False, removals=removals))
    assert result.frames == 6
    assert words in result.error


def test_damage_of_the_source_is_reported(tmp_path):
    source = Source()
    source.damaged_frames, source.corrupt_packets = [2, 3], 4
    result = track(source, {0: MASK}, tmp_path, RepeatingTracker(), QUIET)
    assert (result.damaged_frames, result.corrupt_packets, result.error) == ((2, 3), 4, None)
