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

from aotlab.engine.tracking.tracker import Tracker
from aotlab.media import masks
from aotlab.media.masks import read_mask
from aotlab.media.prompt import Prompt
from aotlab.utils.errors import InputError
from aotlab.utils.run_folder import RECORD, require_inputs_outside
from aotlab_testing.drawn_clips import write_images
from aotlab_testing.limits import limit_file_size
from aotlab_testing.marks import needs_posix
from aotlab_testing.processes import wait_for_event, wait_until
from aotlab_testing.repeating_tracker import RepeatingTracker
from aotlab_testing.small_model import build, draw_stripes, draw_texture
from aotlab_video.masks.regions import VideoInfo
from aotlab_video.runs import built_in_outputs
from aotlab_video.runs.inputs import FrameSelection
from aotlab_video.runs.job import Job, RunOptions
from aotlab_video.runs.loop import pace_frames
from aotlab_video.runs.output import Output
from aotlab_video.runs.prepare import group_removals
from aotlab_video.runs.run import run_job, track
from aotlab_video.runs.store import Results
from aotlab_video.sources.frames import FrameSource
from aotlab_video.sources.video import open_frames

MASK = np.pad(np.ones((16, 16), np.uint8), 8)
QUIET = RunOptions(progress=False)
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
    assert left <= {RECORD, "frames.jsonl", "state.pt", "masks", "overlay.mp4", "coco.json"}, left
    return [int(path.stem) for path in masks], count


def test_cuts_are_counted_by_frame_number(tmp_path, monkeypatch):
    step = RepeatingTracker.step
    monkeypatch.setattr(RepeatingTracker, "step", lambda *args: replace(step(*args), cut=args[1][0, 0, 0] == 4))
    monkeypatch.setattr(FrameSelection, "number", lambda self, index: index + 100)
    assert track(Source(), {0: MASK}, tmp_path, RepeatingTracker(), QUIET).cuts == (104,)


def test_objects_without_a_mask_after_a_cut_are_listed(tmp_path):
    frames = np.concatenate([draw_texture(2) // 2 + 128, draw_texture(2, seed=1) // 2])
    tracker = Tracker(*build("aott", "model.max_objects=3", "rules.cuts=true", "rules.after_cut=end"))
    source = open_frames(write_images(tmp_path / "in", frames))
    result = track(source, {0: draw_stripes([4, 2])}, tmp_path / "out", tracker, QUIET)
    assert (result.cuts, result.ended_ids) == ((2,), (2, 4))


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
    write = masks.write_mask

    def write_until_full(path, *args, **options):
        if "00003" in path.stem:
            raise InputError(f"{path}: cannot be written (No space left on device)")
        write(path, *args, **options)

    monkeypatch.setattr(masks, "write_mask", write_until_full)
    source = Source(60)
    options = RunOptions(write=("masks", "overlay", "coco"), progress=False)
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
        wait_until(lambda: list(tmp_path.glob(".overlay*/.overlay*")))  # the writer is a few frames behind
        half_videos.extend(tmp_path.glob(".overlay*/.overlay*"))
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
    options = RunOptions(realtime=True, progress=False)
    result = track(source, {0: MASK, 7: MASK, 8: MASK}, tmp_path, tracker, options)
    assert seen == [0, 7, 8, 29]
    assert (result.frames, result.dropped_frames) == (4, 26)
    assert read_outputs(tmp_path) == (seen, 4)
    video = open_frames(tmp_path / "overlay.mp4")
    assert [round(video.time(index) * 50) for index, _ in enumerate(video)] == seen


def test_realtime_waits_until_each_frame_is_due(monkeypatch):
    now = [7.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr("aotlab_video.runs.loop.time", clock)
    times = [(index, round(now[0] - 7, 6)) for index, _ in pace_frames(enumerate(Source(4)), Source())]
    assert times == [(0, 0), (1, 0.02), (2, 0.04), (3, 0.06)]


def test_file_that_may_not_grow_keeps_the_masks(tmp_path):
    with limit_file_size(6000):
        options = RunOptions(write=("masks", "coco"), progress=False)
        result = track(Source(60), {0: MASK}, tmp_path, RepeatingTracker(), options)
    assert list(result.written) == ["masks"]
    assert "coco.json" in result.error
    assert len(read_outputs(tmp_path)[0]) >= result.frames
    assert {path.name for path in tmp_path.iterdir()} == {RECORD, "frames.jsonl", "masks"}


@pytest.mark.parametrize(("path", "inside"), [
    ("out", True), ("out/masks", True), ("out/masks/0.png", True), ("links/0.png", True), ("other name", True),
    ("frames", False), ("out2", False), ("gone", False),
])  # fmt: skip
def test_inputs_in_the_folder_of_results_rejected(tmp_path, path, inside):
    for name in ("out/masks", "out2", "frames", "links"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "out" / "masks" / "0.png").write_text("")
    (tmp_path / "links" / "0.png").symlink_to(tmp_path / "out" / "masks" / "0.png")
    (tmp_path / "other name").symlink_to(tmp_path / "out")
    with pytest.raises(InputError, match=r"the input .*; choose another folder") if inside else nullcontext():
        require_inputs_outside([tmp_path / path], tmp_path / "out")


def test_foreign_files_are_not_overwritten(tmp_path):
    (tmp_path / "overlay.mp4").write_text("mine")
    with pytest.raises(InputError, match=r"already contains overlay.mp4, which aotlab did not write"):
        track(Source(), {0: MASK}, tmp_path, RepeatingTracker(), QUIET, force=True)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_output_folder_of_the_video_rejected(models, tmp_path):
    write_images(tmp_path / "masks", draw_texture(3), "{:05d}.png")
    tracker, options = Tracker(*models["aott"]), RunOptions(write=("masks",))
    for output, words in ((tmp_path, "contains the input"), (tmp_path / "masks", "is the input")):
        with pytest.raises(InputError, match=words):
            track(tmp_path / "masks", {0: draw_stripes([4])}, output, tracker, options, force=True)
    assert len(list((tmp_path / "masks").iterdir())) == 3


class TwoFiles(Output):
    file_name, needs_image = "two.txt", False

    def finish(self):
        for name in (self.file_name, "side.txt"):
            self.path.with_name(name).write_text("x")

    def write(self, frame):
        self.path.parent.mkdir(exist_ok=True)


def test_side_files_of_an_output_are_replaced_with_it(tmp_path, monkeypatch):
    monkeypatch.setitem(built_in_outputs.BUILT_IN_OUTPUTS, "two", TwoFiles)
    for write, names in (("two", {"two.txt", "side.txt"}), ("masks", set())):
        track(Source(), {0: MASK}, tmp_path, RepeatingTracker(), RunOptions(write=write, progress=False), force=True)
        assert {path.name for path in tmp_path.iterdir()} == {RECORD, "frames.jsonl", "masks", *names}


def test_stream_is_written_while_tracking_or_not_at_all(tmp_path, monkeypatch):
    options = RunOptions(write=("overlay", "objects", "coco"), progress=False)
    result = track(Source(), {0: MASK}, tmp_path / "out", RepeatingTracker(), options)
    assert (result.error, result.written.keys()) == (None, {"overlay", "objects", "coco"})
    assert len(list(open_frames(tmp_path / "out" / "overlay.mp4"))) == 6
    monkeypatch.setattr(built_in_outputs.VideoFile, "accepts_streams", False)
    tracker = RepeatingTracker()
    with pytest.raises(InputError, match=r"overlay: needs the video again .*, but fake can be read only once; save"):
        track(Source(), {0: MASK}, tmp_path / "b", tracker, options)
    assert (tracker.annotated_ids, (tmp_path / "b").exists()) == ([], False)


def test_results_of_track_are_replaced_by_force(models, tmp_path):
    write_images(tmp_path / "in", draw_texture(6))
    source, out = open_frames(tmp_path / "in"), tmp_path / "out"
    options = RunOptions(write=("masks", "objects"), progress=False)
    tracker = Tracker(*models["aott"])
    assert track(source, {0: draw_stripes([4, 9])}, out, tracker, options).frames == 6
    with pytest.raises(InputError, match="masks: frame 5 is not tracked"):
        track(source, {5: draw_stripes([4])}, out, tracker, options, end=2)
    with pytest.raises(InputError, match="mask: soft values must be 0 to 1"):
        track(source, {0: draw_stripes([4]) / 2}, out, tracker, options)
    run = partial(track, source, {0: draw_stripes([4])}, out, tracker, options, end=2)
    with pytest.raises(InputError, match="streams, arrays and loaded trackers are not compared"):
        run()
    assert len([*(out / "masks").glob("*.png")]) == 6
    assert run(force=True).frames == 3
    assert len([*(out / "masks").glob("*.png")]) == 3
    assert [path.name for path in (out / "objects").iterdir()] == ["4"]
    assert len(Results.read(out).entries) == 3


def test_track_takes_prompts(models, tmp_path):
    write_images(tmp_path / "in", draw_texture(3))
    tracker, options = Tracker(*models["aott"]), RunOptions(write="masks", progress=False)
    box = Prompt(box=(8, 8, 40, 40))
    result = track(tmp_path / "in", None, tmp_path / "out", tracker, options, prompts={0: {7: box}})
    assert result.frames == 3
    assert read_mask(tmp_path / "out" / "masks" / "00000.png").max() == 7
    with pytest.raises(InputError, match="streams, arrays and loaded trackers are not compared"):
        track(tmp_path / "in", None, tmp_path / "out", tracker, options, prompts={0: {7: box}})
    track(tmp_path / "in", {0: draw_stripes([4])}, tmp_path / "b", tracker, options, prompts={0: {7: box}})
    drawn = draw_stripes([4])
    labels = read_mask(tmp_path / "b" / "masks" / "00000.png")
    assert (labels[drawn > 0] == 4).all()  # a prompt takes no pixel of other objects
    assert (labels == 7).any()


@pytest.mark.parametrize("masks", [MASK, [MASK], "mask.png"])
def test_masks_that_are_not_a_dict_rejected(tmp_path, masks):
    with pytest.raises(InputError, match=r"masks: expected a dict by frame index, such as {0: ...}, got "):
        track(Source(), masks, tmp_path, RepeatingTracker(), QUIET)


@pytest.mark.parametrize("options", [{}, {"soft": True}, ("masks",)])
def test_options_of_another_type_rejected(tmp_path, options):
    runs = partial(run_job, Job("a", tmp_path)), partial(track, Source(), {0: MASK})
    for run in runs:
        with pytest.raises(InputError, match=r"options: expected RunOptions, got (dict|tuple); pass RunOptions"):
            run(tmp_path / "out", RepeatingTracker(), options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("masks", "end", "words"), [
    ({}, None, "masks: none; pass {0: mask}"),
    ({0: MASK * np.uint32(70000)}, None, "frame 0: mask: object ids must be 0 to 65535, got 0 to 70000"),
    ({-1: MASK}, None, r"masks: frame -1 is not tracked \(0 to the end\)"),
    ({0: MASK, 3: MASK[:9]}, None, r"frame 3: mask: expected integer object ids of shape \(32, 32\), got"),
    ({0: MASK * 0}, None, "frame 0: mask: no objects"),
    ({0: MASK, 9: MASK}, 5, r"masks: frame 9 is not tracked \(0 to 5\)"),
])  # fmt: skip
def test_unusable_masks_rejected_before_tracking(tmp_path, masks, end, words):
    tracker = RepeatingTracker()
    with pytest.raises(InputError, match=words):
        track(Source(), masks, tmp_path, tracker, QUIET, end=end)
    assert (tracker.annotated_ids, [*tmp_path.iterdir()]) == ([], [])


@pytest.mark.parametrize(("run", "words"), [
    (lambda job, folder: run_job(Job("clip", Path("clip"), ("a.png",)), folder), "^clip, a.png: no such file"),
    (lambda job, folder: run_job(job.replace(segmenter=("a", "b")), folder), "clip, a.png: no such file"),
    (lambda job, folder: track(Source(), {0: MASK}, folder, RepeatingTracker(), classes={1: 5}),
     "classes must be a text or a list of texts, got {1: 5}"),
    (lambda job, folder: track(Source(), {0: MASK}, folder, RepeatingTracker(), classes={7: "dog"}),
     "class dog: no mask or prompt has object 7"),
])  # fmt: skip
def test_unusable_arguments_rejected(tmp_path, run, words):
    with pytest.raises(InputError, match=words):
        run(Job("clip", "clip", "a.png"), tmp_path)


def test_outputs_are_a_name_or_a_list():
    assert RunOptions(write="masks") == RunOptions(write=["masks"]) == RunOptions(write=("masks",))


@pytest.mark.parametrize("name", [".out", "out ", "."])
def test_folder_of_any_name_takes_results(tmp_path, name):
    (tmp_path / "in").mkdir()
    assert track(Source(), {0: MASK}, tmp_path / "in" / name, RepeatingTracker(), QUIET).frames == 6


def test_classes_are_names_by_object_id(tmp_path):
    options = RunOptions(write="coco", progress=False)
    for classes in ({1: "koi"}, {"1": "koi"}, ["koi"]):
        track(Source(), {0: MASK}, tmp_path, RepeatingTracker(), options, classes=classes, force=True)
        assert json.loads((tmp_path / "coco.json").read_text())["categories"][0]["name"] == "koi"


@pytest.mark.parametrize("removals", [((0, 1),), ((3, 5),), ((1, 2),), ((1, 1), (4, 1)), ((5, 1), (2, 1))])
def test_removal_of_an_absent_object_rejected(tmp_path, removals):
    tracker, (frame, object_id) = RepeatingTracker(), max(removals)
    with pytest.raises(InputError, match=rf"remove {frame}:{object_id}: object {object_id} is not tracked there"):
        track(Source(), {0: MASK, 2: MASK * 2}, tmp_path, tracker, QUIET, removals=removals)
    assert tracker.annotated_ids == []


def test_object_with_a_later_mask_is_removed_again():
    groups = group_removals(((4, 1), (2, 1)), {0: {1}, 2: {1}}, FrameSelection(Source()))
    assert groups == {2: [1], 4: [1]}


def test_absent_objects_are_removed_if_they_are_tracked():
    absent = {0: {2}, 1: {1, 2}, 3: {1}, 5: {1}}
    groups = group_removals(((3, 1),), {0: {1}, 2: {1, 2}, 4: {1}}, FrameSelection(Source()), absent)
    assert groups == {1: [1], 3: [1], 5: [1]}


@pytest.mark.parametrize(("masks", "removals", "words"), [
    ({0: MASK, 9: MASK * 2}, (), "frame 9"),
    ({0: MASK}, ((10**6, 1),), "the mask or removal of frame 1000000 was not used"),
])  # fmt: skip
def test_input_after_the_last_frame_is_reported(tmp_path, masks, removals, words):
    result = track(Source(), masks, tmp_path, RepeatingTracker(), QUIET, removals=removals)
    assert result.frames == 6
    assert words in result.error


def test_damage_of_the_source_is_reported(tmp_path):
    source = Source()
    source.damaged_frames, source.corrupt_packets = [2, 3], 4
    result = track(source, {0: MASK}, tmp_path, RepeatingTracker(), QUIET)
    assert (result.damaged_frames, result.corrupt_packets, result.error) == ((2, 3), 4, None)
