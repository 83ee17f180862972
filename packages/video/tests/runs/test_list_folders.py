"""Output folders of job lists: changed records, names outside the folder, links."""

import shutil
import tempfile
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.engine.tracking.options import TrackerOptions
from aotlab.export.synthetic_clip import draw_clip
from aotlab.media.masks import write_mask
from aotlab.utils.errors import InputError
from aotlab.utils.locks import LOCK_SUFFIX, locked
from aotlab.utils.run_folder import RECORD
from aotlab.utils.signals import StopFlag
from aotlab_testing.drawn_clips import write_images, write_masks
from aotlab_testing.limits import make_pipe
from aotlab_testing.video.stored_results import write_results
from aotlab_video.runs.job import Job, RunOptions
from aotlab_video.runs.lazy_tracker import LazyTracker
from aotlab_video.runs.lists import Batch, list_job_folders
from aotlab_video.runs.prepare import prepare
from aotlab_video.runs.run import plan_action, run
from aotlab_video.runs.store import Results

OPTIONS = (TrackerOptions(), RunOptions(write=("masks",)))
LOADER = LazyTracker(TrackerOptions())


@pytest.fixture
def output(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def track(job, output):
    """Track a list of one job and return its outcome."""
    return Batch([job], output, *OPTIONS).track(StopFlag())[0]


def describe(job):
    """Return the inputs of a job; its tracker is not read."""
    loader = Mock(LazyTracker(TrackerOptions()))
    loader.fingerprint.return_value = {}
    return dict(prepare(job, Path("nowhere"), loader, RunOptions()).inputs)


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
    write_results(output / "a", status="unfinished")
    with locked(output / "a" / LOCK_SUFFIX):
        outcome = track(job, output)
    assert "in use by" in outcome.error
    assert Results.read(output / "a").status == "unfinished"


def test_results_written_since_the_preparation_stay(output, job):
    prepared = prepare(job, output, LOADER, RunOptions(write="masks"))
    write_results(output)
    with pytest.raises(InputError, match="results of a different run"):
        run(prepared)
    results = Results.read(output)
    results.inputs = dict(prepared.inputs)
    results.save()
    assert plan_action(prepared) == "reuse"
    assert run(prepared).reused


def test_tracking_does_not_edit_the_prepared_run(output, job):
    job = Job("a", job.video, boxes="8,8,24,16")
    prepared = prepare(job, output, LOADER, RunOptions(write="masks", progress=False))
    assert run(prepared).frames == 3
    assert ([*prepared.masks], [*prepared.prompts]) == ([], [0])
    assert Results.read(output).status == "done"


@pytest.mark.parametrize(("options", "resumable"), [
    ({}, True),
    ({"write": ("overlay",)}, True),
    ({"both_directions": True}, False),
    ({"realtime": True}, False),
])  # fmt: skip
def test_run_of_a_stored_video_is_resumable(output, job, options, resumable):
    prepared = prepare(job, output, LOADER, RunOptions(**{"write": ("masks",)} | options))
    assert prepared.is_resumable == resumable


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
    problem = f"{folder / RECORD}: not readable (Permission denied); check its permissions"
    batch = Batch([job], folder.parent, *public_options)
    assert (batch.track(StopFlag())[0].error, batch.summary_error) == (problem, "")


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


def test_failed_job_keeps_results_and_resumes_with_its_video(output, jobs):
    write_results(output / "run", status="unfinished")
    before = Results.read(output / "run")
    outcome = Batch(jobs, output, *OPTIONS).track(StopFlag())[0]
    assert "run.mp4: no such file" in outcome.error
    stored = Results.read(output / "run")
    assert (stored.error, stored.inputs, stored.entries) == (outcome.error, before.inputs, before.entries)


def test_failures_without_results_replace_each_other(output, job):
    Path(job.video).rename(output.parent / "gone")
    for mask in ("b.png", "c.png"):
        outcome = track(job.replace(masks=(job.masks[0]._replace(value=mask),)), output)
        assert Results.read(output / "a").error == outcome.error
        assert mask in outcome.error


def test_record_holds_absolute_paths(output, tmp_path, monkeypatch):
    write_job(tmp_path, "a")
    monkeypatch.chdir(tmp_path)
    prepared = prepare(Job("a", "a", ("1=a.png",)), output, LOADER, RunOptions())
    results = prepared.new_results()
    assert (results.video, results.masks) == (str(tmp_path / "a"), [f"1={tmp_path / 'a.png'}"])


def test_error_names_missing_masks(tmp_path):
    write_job(tmp_path, "a")
    make_pipe(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for mask in ("pipe.png", "loop.png", "gone.png", "n" * 300):
        with pytest.raises((InputError, OSError), match=mask):
            describe(Job("a", tmp_path / "a", tmp_path / mask))


def test_inputs_cover_the_frame_of_a_mask(job):
    file = job.masks[0].value
    default, first, second = (describe(job.replace(masks=[f"{frame}{file}"])) for frame in ("", "0=", "1="))
    assert default == first != second


def test_hidden_files_beside_masks_are_no_inputs(tmp_path):
    job = write_job(tmp_path, "a")
    write_masks(tmp_path / "masks", [np.ones((32, 48), np.uint8)])
    job = Job("a", job.video, tmp_path / "masks")
    before = describe(job)
    for name in (".DS_Store", "Thumbs.db"):
        (tmp_path / "masks" / name).touch()
    write_masks(tmp_path / "masks" / ".trash", [np.ones((32, 48), np.uint8)])
    assert describe(job) == before


def test_folder_of_another_list_rejected(output, job):
    assert track(job, output).status == "done"
    other = job.replace(name="other")
    for batch in (Batch([other], output, *OPTIONS), Batch([other], output, *OPTIONS, force=True)):
        with pytest.raises(InputError, match=r"already contains results of another list \(a\); choose another output"):
            batch.track(StopFlag())
    assert [outcome.status for outcome in Batch([job, other], output, *OPTIONS).track(StopFlag())] == ["done"] * 2


@pytest.mark.parametrize("name", ["summary.csv", "notes.txt", "c"])
def test_folder_of_other_files_is_no_output_of_a_list(output, jobs, name):
    (output / name).write_text("mine")
    with pytest.raises(InputError, match=f"already contains {name}, which aotlab did not write"):
        Batch(jobs, output, *OPTIONS, force=True).track(StopFlag())


def test_results_of_another_program_are_no_video(tmp_path):
    write_results(tmp_path / "b")
    for name, text in (("a", "[1]"), ("c", "{")):
        (tmp_path / name).mkdir()
        (tmp_path / name / RECORD).write_text(text)
    assert [path.name for path in list_job_folders(tmp_path)] == ["b", "c"]  # c is damaged


def test_summary_holds_names_that_are_not_unicode(tmp_path):
    jobs = [Job("a", "\udcff.mp4"), Job("b", "b.mp4")]
    results = write_results(tmp_path / "a", 3)
    results.video = "/\udcff.mp4"
    results.save()
    stopped = StopFlag()
    stopped.set()
    Batch(jobs, tmp_path, *OPTIONS).track(stopped)
    text = (tmp_path / "summary.csv").read_text()
    assert text == "name,status,frames,error,video\na,done,3,,/\\udcff.mp4\nb,waiting,,,\n"
