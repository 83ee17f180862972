"""Output folders of job lists: changed records, names outside the folder, links."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.engine.export.synthetic_clip import draw_clip
from aotlab.engine.tracking.options import TrackerLoader, TrackerOptions
from aotlab.jobs.batch import Batch
from aotlab.jobs.digests import digest_inputs
from aotlab.jobs.inputs import FrameSelection
from aotlab.jobs.job import Job, RunOptions
from aotlab.jobs.prepare import check_job, make_record
from aotlab.jobs.results import remove_results
from aotlab.jobs.run import open_run, track_run
from aotlab.media.job_record import JOB_RECORD, JobRecord, read_job_record, write_job_record
from aotlab.media.masks import write_mask
from aotlab.media.regions import VideoInfo
from aotlab.utils.errors import InputError
from aotlab.utils.locks import LOCK_SUFFIX, locked
from aotlab.utils.signals import StopFlag
from tests.drawn_clips import write_images, write_masks
from tests.limits import make_pipe

INPUTS = {"write": [], "a": 1}
FRAMES = FrameSelection(VideoInfo("a", (4, 4)))
OPTIONS = (TrackerOptions(), RunOptions(write=("masks",)))
LOADER = TrackerLoader(TrackerOptions())


@pytest.fixture
def output(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def track(job, output):
    """Track a list of one job and return its record."""
    return Batch([job], output, *OPTIONS).track(StopFlag()).outcomes[0].record


def write_job(folder, name):
    """Write a video of three frames and a mask of all its pixels; return their job."""
    write_images(folder / "a", draw_clip(3, 32, 48, seed=0)[0])
    write_mask(folder / "a.png", np.ones((32, 48), np.uint8))
    return Job(name, folder / "a", folder / "a.png")


@pytest.fixture
def job(tmp_path):
    return write_job(tmp_path, "a")


@pytest.fixture
def jobs(tmp_path):
    for name in ("run", "b"):
        (tmp_path / f"{name}.png").write_bytes(b"x")
    return [Job(name, f"{tmp_path}/{name}.mp4", (f"{tmp_path}/{name}.png",)) for name in ("run", "b")]


def test_tracker_options_resolve_names_when_read(monkeypatch):
    downloaded = []
    monkeypatch.setattr("aotlab.networks.weights.zoo.find_weights", lambda name: None)
    monkeypatch.setattr(
        "aotlab.networks.weights.zoo.download_weights", lambda name: downloaded.append(name) or BUNDLED_CHECKPOINT
    )
    options = TrackerOptions("aott", overrides=("memory.every=2",))
    assert (options.checkpoint, options.overrides, downloaded) == ("aott", ("memory.every=2",), [])
    assert options.read_settings() == TrackerOptions("bundled", overrides=("memory.every=2",)).read_settings()
    assert downloaded == ["aott"]


def test_job_of_another_process_keeps_its_record(output, job):
    write_job_record(output / "a", make_record(job))
    with locked(output / "a" / LOCK_SUFFIX):
        record = track(job, output)
    assert "in use by" in record.error
    assert read_job_record(output / "a").status == "unfinished"


def test_results_written_since_the_plan_stay(output, job):
    run = check_job(job, output, LOADER, RunOptions(write="masks"))
    write_mask(output / "masks" / "00000.png", np.ones((32, 48), np.uint8))
    earlier = JobRecord("a", "other.mp4", {"video": "other"}, frames=1, outputs={"masks": ["*.png"]})
    write_job_record(output, earlier)
    with pytest.raises(InputError, match="results of other inputs"), open_run(run, LOADER):
        pass
    write_job_record(output, replace(earlier, input_digests=run.record.input_digests))
    with open_run(run, LOADER) as opened:
        assert opened.action == "reuse"
    assert read_job_record(output).frames == 1


def test_tracking_does_not_edit_the_run(output, job):
    run = check_job(Job("a", job.video, boxes="8,8,24,16"), output, LOADER, RunOptions(write="masks", progress=False))
    with open_run(run, LOADER) as opened:
        assert track_run(opened).frames == 3
    assert (run.record.status, [*run.masks]) == ("unfinished", [])
    assert read_job_record(output).status == "done"


@pytest.mark.parametrize(("options", "resumable"), [
    ({}, True),
    ({"write": ("objects",)}, False),
    ({"both_directions": True}, False),
    ({"realtime": True}, False),
])  # fmt: skip
def test_run_of_a_stored_video_is_resumable(output, job, options, resumable):
    run = check_job(job, output, LOADER, RunOptions(**{"write": ("masks",)} | options))
    assert run.is_resumable == resumable


def test_file_in_place_of_the_job_folder_is_a_failed_job(output, job):
    (output / "a").write_text("a file")
    assert "a: cannot be written (Not a directory)" in track(job, output).error


@pytest.fixture
def public_options(job, output):
    """Options with a checkpoint that every user may read; all modules are imported, which not every user may read."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    options = TrackerOptions(shutil.copy(BUNDLED_CHECKPOINT, folder)), OPTIONS[1]
    Batch([job], output, *options).track(StopFlag())
    return options


def test_closed_job_folder_is_a_failed_job(public_options, closed_folder):
    base = Path(tempfile.mkdtemp())  # that the user of this test can write
    job, folder = write_job(base, "a"), base / "out" / "a"
    folder.parent.mkdir()
    folder.symlink_to(closed_folder)
    problem = f"{folder}: not readable (Permission denied); check its permissions, or choose another folder"
    result = Batch([job], folder.parent, *public_options).track(StopFlag())
    assert (result.outcomes[0].error, result.summary_error) == (problem, "")


def test_plan_does_not_lock_the_list(output, jobs):
    plans = Batch(jobs, output, *OPTIONS).plan()
    next(plans)
    with locked(output / LOCK_SUFFIX, 0):
        assert len([*plans]) == 1


@pytest.mark.parametrize("folder", ["run", "run/masks"])
def test_link_to_results_of_another_job_rejected(output, jobs, folder):
    (output / "run" / "masks").mkdir(parents=True)
    (output / "b").symlink_to(folder)
    with pytest.raises(InputError, match=r"b: .*run.* belongs to the results of run; copy it elsewhere"):
        Batch(jobs, output, *OPTIONS).track(StopFlag())


def test_circular_link_in_an_output_folder_rejected(output, job):
    (output / "a").symlink_to("a")
    assert "cannot be written" in track(job, output).error


def test_failed_job_resumes_once_its_video_is_back(output, jobs):
    earlier = replace(make_record(jobs[0]), input_digests={"video": "digest"}, outputs={"masks": ["*.png"]})
    write_job_record(output / "run", earlier)
    record = Batch(jobs, output, *OPTIONS).track(StopFlag()).outcomes[0].record
    assert "run.mp4: no such file" in record.error
    stored = read_job_record(output / "run")
    assert (stored.error, stored.input_digests) == (record.error, earlier.input_digests)


def test_record_of_a_job_is_read_as_saved(output, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = make_record(Job("a", "a.mp4", ("3=a.png", "b.png")))
    assert record.video == str(tmp_path / "a.mp4")
    assert record.masks == [f"3={tmp_path / 'a.png'}", str(tmp_path / "b.png")]
    write_job_record(output, record)
    assert read_job_record(output) == replace(record, folder=str(output))


def test_only_files_of_the_run_are_removed(output):
    for name in ("masks/00000.png", "stereo/left/00000.png", "stereo/right/00000.png"):
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_text("x")
    names = "masks/00000.txt masks/data.yaml masks/9/00000.png stereo/left/00000.bak stereo/notes.txt"
    kept = [output / name for name in names.split()]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (output / "masks" / "mine").mkdir()
    write_job_record(output, JobRecord("a", outputs={"masks": ["*.png"], "stereo": ["left/*.png", "right/*.png"]}))
    remove_results(output, read_job_record(output))
    assert {path for path in output.rglob("*") if path.is_file()} == {*kept, output / JOB_RECORD}
    assert (output / "masks" / "mine").is_dir()
    assert not (output / "stereo" / "right").exists()


@pytest.mark.parametrize("name", ["../mine", "..", ".", "", "/mine", "a/../../mine", 5, None])
def test_files_outside_the_folder_are_kept(tmp_path, output, name):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "00000.png").write_text("x")
    (output / "other").write_text("kept")
    write_job_record(output, JobRecord("a", outputs={name: ["*.png"]}))
    remove_results(output, read_job_record(output))
    assert (tmp_path / "mine" / "00000.png").read_text() == "x"
    assert (output / "other").read_text() == "kept"


def test_digest_names_missing_masks(tmp_path):
    make_pipe(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for mask in ("pipe.png", "loop.png", "gone.png", "n" * 300):
        with pytest.raises((InputError, OSError), match=mask):
            digest_inputs(Job("a", tmp_path, tmp_path / mask), INPUTS, JobRecord("a"), FRAMES)


def test_digest_covers_the_frame_of_a_mask(tmp_path):
    write_mask(tmp_path / "a.png", np.ones((4, 4), np.uint8))
    default, first, second = (
        digest_inputs(Job("a", tmp_path, f"{frame}{tmp_path / 'a.png'}"), INPUTS, JobRecord("a"), FRAMES)
        for frame in ("", "0=", "1=")
    )
    assert default == first != second


def test_hidden_files_beside_masks_are_not_digested(tmp_path):
    write_masks(tmp_path / "masks", [np.ones((4, 4), np.uint8)])
    job = Job("a", tmp_path, tmp_path / "masks")
    before = digest_inputs(job, INPUTS, JobRecord("a"), FRAMES)
    for name in (".DS_Store", "Thumbs.db"):
        (tmp_path / "masks" / name).touch()
    assert digest_inputs(job, INPUTS, JobRecord("a"), FRAMES) == before


@pytest.mark.parametrize("content", ["", "name,frames\n"])
def test_summary_that_cannot_be_read_rejected(output, jobs, content):
    (output / "summary.csv").write_text(content)
    with pytest.raises(InputError, match=r"summary.csv: not readable .*; move or delete it"):
        Batch(jobs, output, *OPTIONS).track(StopFlag())


def test_summary_holds_names_that_are_not_unicode(tmp_path):
    jobs = [Job("a", "\udcff.mp4"), Job("b", "b.mp4")]
    write_job_record(tmp_path / "a", JobRecord("a", "/\udcff.mp4", frames=3))
    stopped = StopFlag()
    stopped.set()
    Batch(jobs, tmp_path, *OPTIONS).track(stopped)
    text = (tmp_path / "summary.csv").read_text()
    assert text == "name,status,frames,error,video\na,done,3,,/\\udcff.mp4\nb,waiting,,,\n"
