"""Lists of videos on Slurm and Ray, as in docs/howto/many_videos.md."""

import os
import signal
import subprocess
import sys

import pytest
from PIL import Image

from aotlab import InputError, Job, JobOptions, TrackerOptions, run_job, write_mask
from aotlab.configs.files import ROOT
from aotlab.media.synthetic_clip import draw_clip

OPTIONS = JobOptions(write=("masks",), progress=False)


@pytest.fixture
def jobs(tmp_path):
    """Two short clips with their first masks."""
    for seed, name in enumerate("ab"):
        images, masks = draw_clip(6, 64, 96, seed=seed)
        (tmp_path / name).mkdir()
        for index, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / name / f"{index:05d}.png")
        write_mask(tmp_path / f"{name}.png", masks[0])
    return [Job(name, tmp_path / name, tmp_path / f"{name}.png") for name in "ab"]


def read_masks(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("masks/*.png")}


def test_slurm_script_tracks_its_part(jobs, tmp_path):
    (tmp_path / "jobs.csv").write_text("video,masks\na,a.png\nb,b.png\n")
    command = tmp_path / "bin" / "aotlab"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m aotlab "$@"\n')
    command.chmod(0o755)
    array = {"TASK_ID": "1", "TASK_COUNT": "2", "TASK_MIN": "0", "TASK_STEP": "1"}
    environment = {f"SLURM_ARRAY_{name}": value for name, value in array.items()} | {"DEVICE": "cpu"}
    done = subprocess.run(
        ["bash", ROOT / "scripts" / "slurm_jobs.sh", tmp_path / "jobs.csv", tmp_path / "out"],
        env={**os.environ, **environment, "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "tracked in shard 1/2" in done.stdout


def test_ray_repeats_job_of_killed_worker(jobs, tmp_path):
    ray = pytest.importorskip("ray", reason="the Ray recipe needs Ray (pip install ray)")
    for job in jobs:
        assert run_job(job, tmp_path / "undisturbed" / job.name, options=OPTIONS).frames == 6
    killed = tmp_path / "killed"

    def run_killed_once(job, folder, *arguments):
        """Run a job; the first time, the process of job b kills itself before its fourth mask."""
        if job.name == "b" and not killed.exists():
            replace, names = os.replace, []

            def kill_at_fourth(source, target):
                names.append(target)
                if len(names) == 4:
                    killed.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                replace(source, target)

            os.replace = kill_at_fourth
        return run_job(job, folder, *arguments)

    ray.init(
        num_cpus=2,
        include_dashboard=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}},
    )
    try:
        remote = ray.remote(max_retries=10)(run_killed_once)
        folder, tracker = tmp_path / "out", TrackerOptions(device="cpu")
        missing = Job("missing", tmp_path / "missing", jobs[0].masks)
        failed, *tracked = [
            remote.remote(job, folder / job.name, tracker, OPTIONS) for job in (missing, *jobs)
        ]
        with pytest.raises(InputError, match="missing: no such"):
            ray.get(failed)
        results = ray.get(tracked)
    finally:
        ray.shutdown()
    assert killed.exists()
    assert [result.error for result in results] == [None, None]
    assert read_masks(folder) == read_masks(tmp_path / "undisturbed")
