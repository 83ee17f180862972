"""Earlier results in an output folder: reused, resumed, replaced or rejected."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from aotlab.jobs.results import STATE_FILE, choose_action, find_finished, record_failure, replace_results
from aotlab.media.job_record import CORRECTED_FILE, JOB_RECORD, JobRecord, read_job_record, write_job_record
from aotlab.utils.errors import InputError
from aotlab.utils.locks import locked_output


@dataclass(frozen=True)
class Earlier:
    """Contents of a folder: a record, and files by name."""

    record: JobRecord | None = None
    files: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Write all of it."""
        for name in self.files:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("x")
        if self.record is not None:  # which a run writes last
            write_job_record(folder, self.record)


MASKS, BOTH = {"masks": ["*.png"]}, {"masks": ["*.png"], "coco.json": []}
MASK, FILES = "masks/00000.png", ("masks/00000.png", "coco.json")
WANTED = JobRecord("a", "/a.mp4", {"video": "a", "settings": "b"}, status="unfinished", written=[*BOTH], outputs=BOTH)
DONE = Earlier(replace(WANTED, status="done", frames=1), FILES)
STOPPED = Earlier(WANTED, (*FILES, STATE_FILE))
FAILED = replace(STOPPED, record=replace(WANTED, status="failed", error="disk full"))
OTHER = Earlier(replace(DONE.record, input_digests={"video": "other", "settings": "b"}, outputs=MASKS), (MASK,))
UNKNOWN = Earlier(replace(OTHER.record, input_digests={}), (MASK,))


def try_action(folder, record, **options):
    """The action, or "refuse"."""
    try:
        return choose_action(folder, record, **options)[0]
    except InputError:
        return "refuse"


@pytest.mark.parametrize(("earlier", "action", "forced_action"), [
    (Earlier(), "track", "track"),
    (DONE, "reuse", "reuse"),
    (replace(DONE, files=(MASK,)), "refuse", "track"),
    (replace(DONE, record=replace(DONE.record, frames=2)), "refuse", "track"),  # one mask for two frames
    (replace(DONE, files=()), "track", "track"),
    (replace(DONE, record=replace(DONE.record, written=[*MASKS]), files=(MASK,)), "reuse", "reuse"),  # no coco.json
    (STOPPED, "resume", "resume"),
    (replace(STOPPED, files=FILES), "track", "track"),
    (FAILED, "resume", "resume"),
    (replace(FAILED, files=FILES), "track", "track"),
    (OTHER, "refuse", "track"),
    (UNKNOWN, "refuse", "track"),
    (replace(OTHER, files=(MASK, STATE_FILE)), "refuse", "track"),
    (replace(OTHER, files=()), "track", "track"),
    (replace(OTHER, files=FILES), "refuse", "refuse"),  # coco.json is of somebody else
    (Earlier(files=(MASK,)), "refuse", "refuse"),
    (replace(DONE, files=(*FILES, CORRECTED_FILE)), "reuse", "reuse"),
    (replace(STOPPED, files=(*STOPPED.files, CORRECTED_FILE)), "refuse", "refuse"),
    (replace(OTHER, files=(MASK, CORRECTED_FILE)), "refuse", "refuse"),
    (Earlier(files=(MASK, JOB_RECORD)), "refuse", "refuse"),
])  # fmt: skip
def test_results_are_reused_resumed_replaced_or_rejected(tmp_path, earlier, action, forced_action):
    earlier.write(tmp_path)
    assert try_action(tmp_path, WANTED) == action
    assert try_action(tmp_path, WANTED, force=True) == forced_action


def test_failure_keeps_the_error_of_failed_results(tmp_path):
    FAILED.write(tmp_path)
    record_failure(tmp_path, replace(WANTED, status="failed", error="refused", outputs={}))
    assert read_job_record(tmp_path).error == "disk full"


@pytest.mark.parametrize(("earlier", "words"), [
    (OTHER, r"other inputs \(different video\)"),
    (replace(OTHER, record=replace(OTHER.record, input_digests={"recording": "c"})),
     r"other inputs \(different recording\)"),
    (UNKNOWN, "unknown inputs"),
])  # fmt: skip
def test_error_names_the_changed_inputs(tmp_path, earlier, words):
    earlier.write(tmp_path)
    with pytest.raises(InputError, match=rf"results of {words}; choose another output, or"):
        choose_action(tmp_path, WANTED)


def test_results_without_a_digest_are_not_reused(tmp_path):
    UNKNOWN.write(tmp_path)
    assert try_action(tmp_path, UNKNOWN.record) == "refuse"


@pytest.mark.parametrize("name", ["masks", "linked"])
def test_folder_of_input_images_rejected_as_output(tmp_path, name):
    images = tmp_path / "masks"
    images.mkdir()
    (images / "00000.png").touch()
    (tmp_path / "linked").symlink_to(images)
    with pytest.raises(InputError, match=f"output {images}: is the input folder .*{name}; choose another folder"):
        choose_action(images, replace(WANTED, video=str(tmp_path / name)), force=True)


def test_linked_folder_of_masks_is_kept(tmp_path):
    folder, disk = tmp_path / "results", tmp_path / "disk"
    disk.mkdir()
    folder.mkdir()
    (folder / "masks").symlink_to(disk)
    OTHER.write(folder)
    (disk / ".00000.0123abcd.part.png").write_text("killed while it was written")
    replace_results(folder, WANTED, OTHER.record)
    assert (folder / "masks").is_symlink()
    assert [*disk.iterdir()] == []


@pytest.mark.parametrize(("earlier", "finished"), [
    (DONE, True), (replace(DONE, files=(MASK,)), False), (STOPPED, False), (Earlier(), False),
])  # fmt: skip
def test_only_complete_results_are_finished(tmp_path, earlier, finished):
    earlier.write(tmp_path)
    assert (find_finished(tmp_path) is not None) == finished


def test_failures_without_results_replace_each_other(tmp_path):
    for error in ("damaged", "missing"):
        record_failure(tmp_path, JobRecord("a", status="failed", error=error))
        assert read_job_record(tmp_path).error == error


def test_failure_is_not_recorded_in_a_locked_folder(tmp_path):
    failed = JobRecord("a", status="failed", error="damaged")
    for in_use, error in ((True, None), (False, "damaged")):
        STOPPED.write(tmp_path)
        with locked_output(tmp_path) if in_use else nullcontext():
            record_failure(tmp_path, failed)
        assert read_job_record(tmp_path).error == error


@pytest.mark.parametrize("earlier", [DONE, STOPPED])
def test_results_on_a_missing_disk_are_not_replaced(tmp_path, earlier):
    write_job_record(tmp_path, earlier.record)
    (tmp_path / "masks").symlink_to(tmp_path / "unmounted")
    with pytest.raises(InputError, match="masks, a link to a missing"):
        choose_action(tmp_path, WANTED, force=True)
