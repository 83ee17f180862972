"""Plans: what a run does with the results that an earlier run left."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from aotlab.media.job_record import CORRECTED_FILE, JOB_RECORD, JobRecord, read_job_record, write_job_record
from aotlab.utils.errors import InputError
from aotlab.utils.versioned_files import write_versioned
from aotlab.video.job import Job
from aotlab.video.plan import RUN_FILE, RUN_KIND, RerunOptions, plan_job, plan_list
from aotlab.video.resume import STATE_FILE


@dataclass(frozen=True)
class Earlier:
    """Contents of a folder: a record, and files by name."""

    record: JobRecord | None = None
    files: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Write all of it."""
        if self.record is not None:
            write_job_record(folder, self.record)
        for name in self.files:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("x")


MASKS, BOTH = ["masks"], ["masks", "coco.json"]
MASK, FILES = "masks/00000.png", ("masks/00000.png", "coco.json")
WANTED = JobRecord("a", "/a.mp4", "digest", error="not finished", written=BOTH, outputs=BOTH)
DONE = Earlier(replace(WANTED, error=None, frames=1), FILES)
STOPPED = Earlier(WANTED, (*FILES, STATE_FILE))
FEWER = Earlier(replace(DONE.record, written=MASKS, outputs=MASKS), (MASK,))
OTHER = Earlier(replace(DONE.record, input_digest="other", video="/b.mp4"), FILES)
CORRECTED = replace(OTHER, files=(*FILES, CORRECTED_FILE))
UNREADABLE = Earlier(files=(MASK, JOB_RECORD))
ONCE, FORCE, RESTART, LIST = (
    RerunOptions(), RerunOptions(force=True), RerunOptions(restart=True), RerunOptions(in_batch=True)
)  # fmt: skip


def try_plan(plan, *arguments, **options):
    """The planned action, or "refuse"."""
    try:
        return plan(*arguments, **options)
    except InputError:
        return "refuse"


@pytest.mark.parametrize(("earlier", "rerun", "repeatable", "action"), [
    (Earlier(), ONCE, True, "track"),
    (DONE, ONCE, True, "reuse"),
    (DONE, LIST, True, "reuse"),
    (DONE, RESTART, True, "track"),
    (DONE, ONCE, False, "refuse"),  # a stream gives other frames each time
    (DONE, FORCE, True, "reuse"),
    (DONE, FORCE, False, "track"),
    (DONE, LIST, False, "reuse"),  # a list tracks a stream once
    (replace(DONE, files=(MASK,)), ONCE, True, "track"),
    (replace(DONE, record=replace(DONE.record, frames=2)), ONCE, True, "track"),  # one mask for two frames
    (STOPPED, ONCE, True, "resume"),
    (STOPPED, LIST, True, "resume"),
    (Earlier(replace(WANTED, outputs=MASKS), (MASK, STATE_FILE)), ONCE, True, "refuse"),
    (STOPPED, RESTART, True, "track"),
    (STOPPED, FORCE, False, "track"),
    (replace(STOPPED, files=FILES), ONCE, True, "track"),
    (FEWER, ONCE, True, "refuse"),
    (FEWER, FORCE, True, "refuse"),
    (FEWER, RESTART, True, "track"),
    (FEWER, LIST, True, "track"),
    (OTHER, ONCE, True, "refuse"),
    (OTHER, RESTART, True, "refuse"),
    (OTHER, FORCE, True, "track"),
    (OTHER, LIST, True, "track"),
    (Earlier(files=(MASK,)), RerunOptions(True, True, True), True, "refuse"),
    (Earlier(files=(RUN_FILE,)), FORCE, True, "refuse"),
    (replace(DONE, files=CORRECTED.files), ONCE, True, "reuse"),
    (CORRECTED, RerunOptions(force=True, restart=True), True, "refuse"),
    (CORRECTED, LIST, True, "keep_corrections"),
    (replace(CORRECTED, record=None), LIST, True, "refuse"),
    (UNREADABLE, ONCE, True, "refuse"),
    (UNREADABLE, RESTART, True, "refuse"),
    (UNREADABLE, FORCE, True, "refuse"),
    (UNREADABLE, LIST, True, "refuse"),
    (Earlier(files=(*UNREADABLE.files, CORRECTED_FILE)), LIST, True, "refuse"),
])  # fmt: skip
def test_job_is_tracked_resumed_reused_or_refused(tmp_path, earlier, rerun, repeatable, action):
    earlier.write(tmp_path)
    resumable = {"repeatable": repeatable, "resumable": repeatable}
    assert try_plan(plan_job, tmp_path, WANTED, read_job_record(tmp_path), rerun, **resumable) == action


SETTINGS = {"write": ["coco", "masks"], "checkpoint": "x"}
RUN = {"settings": SETTINGS, "jobs": ["a"]}


@pytest.mark.parametrize(("run", "files", "actions"), [
    (None, (), ("track", "track")),
    (None, ("notes.txt",), ("refuse", "track")),
    (None, (RUN_FILE,), ("refuse", "track")),
    (None, ("summary.csv",), ("refuse", "refuse")),
    (RUN, (), ("resume", "resume")),
    (RUN, ("summary.csv",), ("resume", "resume")),
    ({**RUN, "settings": {**SETTINGS, "write": ["coco", "masks", "x"]}}, (), ("resume", "resume")),
    ({**RUN, "settings": {**SETTINGS, "write": ["masks"]}}, (), ("refuse", "track")),
    ({**RUN, "settings": {**SETTINGS, "checkpoint": "y"}}, (), ("refuse", "track")),
    ({**RUN, "jobs": ["b"]}, ("b/.track.json",), ("refuse", "track")),
    ({**RUN, "jobs": ["a", "b"]}, ("b/.track.json",), ("resume", "resume")),
])  # fmt: skip
def test_list_is_started_resumed_or_refused(tmp_path, run, files, actions):
    Earlier(files=files).write(tmp_path)
    if run is not None:
        write_versioned(tmp_path / RUN_FILE, RUN_KIND, run)
    for force, action in zip((False, True), actions, strict=True):
        assert try_plan(plan_list, tmp_path, [Job("a", "a.mp4")], SETTINGS, force=force) == action
