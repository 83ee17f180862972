"""Runs with trackers that only have what `VideoTracker` demands."""

import json

import numpy as np
import pytest

from aotlab import InputError, TrackerOptions, sdk
from aotlab.engine.tracking.prediction import Prediction
from aotlab.media.masks import read_mask, write_mask
from aotlab.utils.signals import StopFlag
from aotlab_testing.drawn_clips import draw_box
from aotlab_testing.repeating_tracker import RepeatingTracker
from aotlab_video import Job, RunOptions, run_job, track
from aotlab_video.runs.lists import Batch

SIZE = (32, 48)
MASK = draw_box(SIZE, (4, 20), (6, 30), 3, np.uint8)
LATE = draw_box(SIZE, (10, 30), (20, 40), 3, np.uint8)


class PlainTracker:
    """A tracker that repeats the last mask, without any optional interface."""

    def __init__(self):
        self.inner, self.device = RepeatingTracker(), RepeatingTracker.device
        self.count = 0

    @property
    def ids(self):
        return self.inner.ids

    def reset(self, length=None):
        self.inner.reset(length)
        self.count = 0

    def fresh(self):
        return PlainTracker()

    def step(self, frame, mask=None, *, size=None, prompts=None):
        self.count += 1
        if self.count == getattr(RepeatingTracker, "fail_at", None):
            raise InputError("broken", subject="frame")
        return self.inner.step(frame, mask, size=size)

    def forget(self, object_id):
        self.inner.forget(object_id)


class PlainLoader:
    def __init__(self, checkpoint, settings, device):
        self.made_by = {"tracker": checkpoint}

    def fingerprint(self, digests=None):
        return self.made_by

    def load(self):
        return PlainTracker()


trackers = {"plain": PlainLoader}


@pytest.fixture(scope="module", autouse=True)
def plugin():
    sdk.load_plugins([__file__])


@pytest.fixture
def job(tmp_path):
    (tmp_path / "clip").mkdir()
    for index in range(6):
        write_mask(tmp_path / "clip" / f"{index:05}.png", np.full(SIZE, index, np.uint8))
    for name, mask in (("first.png", MASK), ("late.png", LATE)):
        write_mask(tmp_path / name, mask)
    return Job("clip", tmp_path / "clip", [tmp_path / "first.png", f"4={tmp_path / 'late.png'}"])


def run(job, folder, **options):
    tracker = TrackerOptions("plain")
    return run_job(job, folder, tracker, RunOptions(**{"write": "masks", "progress": False} | options))


@pytest.mark.parametrize("options", [{}, {"both_directions": True}, {"write": "soft"}], ids=str)
def test_plain_tracker_runs(job, tmp_path, options):
    result = run(job, tmp_path / "out", **options)
    assert (result.frames, result.error, result.cuts) == (6, None, ())
    masks = [read_mask(tmp_path / "out" / "masks" / f"{index:05}.png") for index in (0, 5)]
    np.testing.assert_array_equal(masks, [MASK, LATE])
    assert json.loads((tmp_path / "out" / "results.json").read_text())["inputs"]["tracker"] == "plain"
    assert run(job, tmp_path / "out", **options).reused


def test_interrupted_run_is_refused_until_it_may_start_again(job, tmp_path, monkeypatch):
    monkeypatch.setattr(RepeatingTracker, "fail_at", 4, raising=False)
    stopped = run(job, tmp_path / "out")
    assert (stopped.frames, stopped.error, stopped.resumable) == (3, "frame: broken", False)
    monkeypatch.undo()
    with pytest.raises(InputError, match="out: this tracker cannot continue an interrupted run; --force starts again"):
        run(job, tmp_path / "out")
    options = RunOptions(write="masks", progress=False)
    again = run_job(job, tmp_path / "out", TrackerOptions("plain"), options, force=True)
    assert (again.frames, again.restored_frames, again.error) == (6, 0, None)


def test_list_starts_an_interrupted_video_again(job, tmp_path, monkeypatch):
    def run_list():
        options = RunOptions(write="masks", progress=False)
        return Batch([job], tmp_path / "out", TrackerOptions("plain"), options).track(StopFlag())

    monkeypatch.setattr(RepeatingTracker, "fail_at", 4, raising=False)
    assert [outcome.status for outcome in run_list()] == ["failed"]
    monkeypatch.undo()
    assert [(outcome.status, outcome.frames) for outcome in run_list()] == [("done", 6)]


def test_loaded_tracker_without_interfaces_gets_prompts_as_masks(job, tmp_path, monkeypatch):
    monkeypatch.setattr("aotlab_video.runs.loop.load_segmenter", lambda *_, **__: lambda frame, prompts, keep: MASK)
    boxes = Job("clip", job.video, boxes=[":3=6,4,24,16"])
    result = run(boxes, tmp_path / "out")
    assert result.frames == 6
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "prompt_masks" / "00000.png"), MASK)
    loaded = track(job.video, {0: MASK}, tmp_path / "loaded", PlainTracker(), RunOptions(write="masks", progress=False))
    assert loaded.frames == 6
    assert isinstance(PlainTracker().step(np.zeros((*SIZE, 3), np.uint8), MASK), Prediction)
