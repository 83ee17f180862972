"""Lists on local clusters of Ray, Dask and submitit, one of whose workers is killed: the same bytes as undisturbed."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("fsspec", reason="the recipes need fsspec (pip install fsspec)")
import clips
import engines
from aotlab_clusters import JobResult

from aotlab import InputError
from tests.processes import RUN_SECONDS

FOLDER = Path(__file__).parents[1]


@pytest.fixture
def killed(monkeypatch, tmp_path):
    """Kill the process of job b once; the output folder."""
    monkeypatch.setattr(engines, "run_job", clips.run_killed_once)
    return str(tmp_path / "out")


def check(results, output, undisturbed):
    """Fail unless job b was killed, all ended well, and the results are those of an undisturbed run."""
    assert Path(f"{output}/b.killed").exists()
    assert {result.name: result.error for result in results} == {"a": None, "b": None, "c": None}
    assert clips.read_results(Path(output)) == undisturbed


def test_ray_repeats_job_of_killed_worker(jobs, undisturbed, killed):
    ray = pytest.importorskip("ray", reason="the Ray recipe needs Ray (pip install ray)")
    ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": os.environ["PYTHONPATH"]}})
    try:
        check(engines.track_with_ray(jobs, killed, clips.OPTIONS), killed, undisturbed)
    finally:
        ray.shutdown()


def test_dask_repeats_job_of_killed_worker(jobs, undisturbed, killed):
    distributed = pytest.importorskip("distributed", reason="the Dask recipe needs dask[distributed]")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        check(engines.track_with_dask(jobs, killed, clips.OPTIONS, client), killed, undisturbed)


def test_submitit_requeues_preempted_task(jobs, undisturbed, killed, tmp_path, monkeypatch):
    submitit = pytest.importorskip("submitit", reason="the submitit recipe needs submitit (pip install submitit)")
    monkeypatch.setenv("KILL_WITH", "SIGUSR2")
    executor = submitit.AutoExecutor(folder=tmp_path / "logs", cluster="local")
    executor.update_parameters(timeout_min=10)
    check(engines.track_with_submitit(jobs, killed, clips.OPTIONS, executor), killed, undisturbed)


def submit_to_dask(jobs):
    """Return the names of jobs in the order in which Dask would get them, and their results."""
    submitted = []

    def submit(function, job, *_, **__):
        submitted.append(job.name)
        return JobResult(job.name)

    client = SimpleNamespace(submit=submit, gather=list)
    return submitted, engines.track_with_dask(jobs, "out", clips.OPTIONS, client)


def test_largest_video_is_first_and_stream_last(jobs):
    larger = clips.write_clip(Path(jobs[0].video).parent, "larger", 9, frames=8)
    stream = replace(jobs[0], name="stream", video="rtsp://camera/live")
    submitted, results = submit_to_dask([stream, *jobs, larger])
    assert (submitted[0], submitted[-1]) == ("larger", "stream")
    assert [result.name for result in results] == ["stream", *(job.name for job in jobs), "larger"]


def test_jobs_of_one_name_rejected(jobs):
    with pytest.raises(InputError, match=f"job {jobs[0].name}: another job has this name"):
        submit_to_dask([*jobs, jobs[0]])


def test_slurm_script_tracks_its_part(jobs, tmp_path):
    rows = [f"{job.video},{job.masks[0].value}\n" for job in jobs]
    (tmp_path / "jobs.csv").write_text("video,masks\n" + "".join(rows))
    scripts = tmp_path / "bin"
    scripts.mkdir()
    for name, command in {"aotlab": f'"{sys.executable}" -m aotlab', "srun": ""}.items():
        (scripts / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (scripts / name).chmod(0o755)
    array = {
        "SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_TASK_MIN": "0",
        "SLURM_ARRAY_TASK_MAX": "1", "SLURM_ARRAY_TASK_STEP": "1", "SLURM_CPUS_PER_TASK": "1",
    }  # fmt: skip
    path = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(FOLDER / "slurm.sh"), str(tmp_path / "jobs.csv"), str(tmp_path / "out")],
        env={**os.environ, **array, "DEVICE": "cpu", "PATH": path},
        capture_output=True, text=True, timeout=RUN_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "done in shard 1/2" in done.stdout
