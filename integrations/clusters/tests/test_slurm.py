"""The Slurm script as one task of an array, without Slurm."""

import os
import subprocess
import sys
from pathlib import Path

from tests.processes import RUN_SECONDS

FOLDER = Path(__file__).parents[1]


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
