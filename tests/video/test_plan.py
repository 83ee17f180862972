"""Plans: what a run does with the results that an earlier run left."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from aotlab.media.job_record import CORRECTED_FILE, JOB_RECORD, JobRecord, write_job_record
from aotlab.utils.errors import InputError
from aotlab.utils.versioned_files import write_versioned
from aotlab.video.job import Job
from aotlab.video.plan import RUN_FILE, RUN_KIND, choose_action, plan_list
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
OTHER = Earlier(replace(DONE.record, input_digest="other", outputs=MASKS), (MASK,))
UNKNOWN = Earlier(replace(OTHER.record, input_digest=""), (MASK,))


def try_plan(plan, *arguments, **options):
    """What is planned, or "refuse"."""
    try:
        return plan(*arguments, **options)[0]
    except InputError:
        return "refuse"


@pytest.mark.parametrize(("earlier", "action", "forced_action"), [
    (Earlier(), "track", "track"),
    (DONE, "reuse", "reuse"),
    (replace(DONE, files=(MASK,)), "track", "track"),
    (replace(DONE, record=replace(DONE.record, frames=2)), "track", "track"),  # one mask for two frames
    (STOPPED, "resume", "resume"),
    (replace(STOPPED, files=FILES), "track", "track"),
    (OTHER, "refuse", "track"),
    (UNKNOWN, "refuse", "track"),
    (replace(OTHER, files=(MASK, STATE_FILE)), "refuse", "track"),
    (replace(OTHER, files=()), "track", "track"),
    (replace(OTHER, files=FILES), "refuse", "refuse"),  # coco.json is of somebody else
    (Earlier(files=(MASK,)), "refuse", "refuse"),
    (Earlier(files=(RUN_FILE,)), "refuse", "refuse"),
    (replace(DONE, files=(*FILES, CORRECTED_FILE)), "reuse", "reuse"),
    (replace(STOPPED, files=(*STOPPED.files, CORRECTED_FILE)), "refuse", "refuse"),
    (replace(OTHER, files=(MASK, CORRECTED_FILE)), "refuse", "refuse"),
    (Earlier(files=(MASK, JOB_RECORD)), "refuse", "refuse"),
])  # fmt: skip
def test_results_are_reused_resumed_replaced_or_refused(tmp_path, earlier, action, forced_action):
    earlier.write(tmp_path)
    assert try_plan(choose_action, tmp_path, WANTED) == action
    assert try_plan(choose_action, tmp_path, WANTED, force=True) == forced_action


def test_results_without_a_digest_are_not_reused(tmp_path):
    UNKNOWN.write(tmp_path)
    assert try_plan(choose_action, tmp_path, UNKNOWN.record) == "refuse"


@pytest.mark.parametrize("name", ["masks", "linked"])
def test_folder_of_input_images_is_no_output(tmp_path, name):
    images = tmp_path / "masks"
    images.mkdir()
    (images / "00000.png").touch()
    if name == "linked":
        (tmp_path / name).symlink_to(images)
    with pytest.raises(
        InputError, match=f"output {images}: is the input folder .*{name}; choose another folder"
    ):
        choose_action(images, WANTED, [tmp_path / name, images / "00000.png"], force=True)


SETTINGS = {"write": ["coco", "masks"], "checkpoint": "x"}
RUN = {"settings": SETTINGS, "jobs": ["a"]}


@pytest.mark.parametrize(("run", "files", "replaces", "forced"), [
    (None, (), False, False),
    (None, (".jobs.7@other.part.json",), False, False),
    (None, ("notes.txt",), "refuse", "refuse"),
    (None, ("summary.csv",), "refuse", "refuse"),
    (None, ("a/.track.json",), "refuse", "refuse"),
    (None, (RUN_FILE,), "refuse", True),
    (RUN, (), False, False),
    (RUN, ("summary.csv", "notes.txt"), False, False),
    ({**RUN, "settings": {**SETTINGS, "write": ["masks"]}}, (), "refuse", True),
    ({**RUN, "settings": {**SETTINGS, "checkpoint": "y"}}, (), "refuse", True),
    ({**RUN, "jobs": ["a", "b"]}, ("b/.track.json",), False, False),
    ({**RUN, "jobs": ["b"]}, ("b/.track.json",), "refuse", True),
    ({**RUN, "jobs": ["b"]}, (), False, False),
])  # fmt: skip
def test_list_is_started_resumed_or_refused(tmp_path, run, files, replaces, forced):
    Earlier(files=files).write(tmp_path)
    if run is not None:
        write_versioned(tmp_path / RUN_FILE, RUN_KIND, run)
    jobs = [Job("a", "a.mp4")]
    assert try_plan(plan_list, tmp_path, jobs, SETTINGS) == replaces
    assert try_plan(plan_list, tmp_path, jobs, SETTINGS, force=True) == forced


@pytest.mark.parametrize("name", ["classes.json", "Summary.csv"])
def test_job_named_like_a_file_of_the_list_is_refused(tmp_path, name):
    with pytest.raises(
        InputError, match=f"job {name}: a file of the list has this name; give the job another"
    ):
        plan_list(tmp_path, [Job(name, "a.mp4")], SETTINGS, force=True)
