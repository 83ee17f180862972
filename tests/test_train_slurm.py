"""The Slurm job of training, with stand-ins for Slurm's programs."""

import os
import re
import signal
import subprocess
import sys

import pytest

from aotlab.configs.files import ROOT
from tests.engine.training.tiny_recipes import draw_sets, read_log, steady_phase, write_recipe
from tests.marks import needs_posix
from tests.processes import RUN_SECONDS, reserve_port, wait_until

pytestmark = needs_posix
SCRIPT = ROOT / "scripts" / "train_slurm.sh"
PROGRAMS = {
    "srun": """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
for ((rank = 0; rank < SLURM_NTASKS; rank++)); do
    SLURM_PROCID=$rank SLURM_LOCALID=$((rank % 2)) "$@" & tasks+=($!)
done
trap 'kill -TERM "${tasks[@]}"' TERM
status=0
for task in "${tasks[@]}"; do
    wait "$task" || status=$?
    while kill -0 "$task" 2>/dev/null; do wait "$task" || status=$?; done # a signal ends the first wait
done
exit $status
""",
    "scontrol": """#!/bin/bash
if [ "$1" = show ]; then echo 127.0.0.1; echo other; else echo "$@" >>requeued; fi
""",
    "aotlab": """#!/bin/bash
trap 'echo saved >>"rank$RANK"; exit 143' TERM
echo "$MASTER_ADDR $MASTER_PORT $WORLD_SIZE $RANK $LOCAL_RANK $*" >"rank$RANK"
[ "$*" = "${*%forever}" ] && exit ${STATUS:-0}
while :; do sleep 0.05; done
""",
    "activate": 'PATH="$SLURM_SUBMIT_DIR/programs:$PATH"\n',
}
"""Stand-ins; a task of the last argument ``forever`` runs until SIGTERM."""
OPTIONS = {"--requeue", "--open-mode=append", "--signal=B:USR1@180", "--ntasks-per-node=1"}


@pytest.fixture
def job(tmp_path):
    """Starts the job with two tasks in a folder with the stand-ins."""
    (tmp_path / "programs").mkdir()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name, text in PROGRAMS.items():
        file = tmp_path / (".venv/bin" if name == "activate" else "programs") / name
        file.write_text(text)
        file.chmod(0o755)
    started = []

    def start(*words, job_id="20007", **variables):
        slurm = {
            "SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_ID": job_id,
            "SLURM_NTASKS": "2", "SLURM_CPUS_PER_TASK": "1",
        }  # fmt: skip
        command = ["bash", SCRIPT, *words]
        options = {"cwd": tmp_path, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started.append(subprocess.Popen(command, env={**os.environ, **slurm, **variables}, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def read_ranks(folder):
    return [(folder / f"rank{rank}").read_text().splitlines() for rank in range(2)]


def test_slurm_job_starts_a_rank_per_task(job, tmp_path):
    assert set(re.findall(r"^#SBATCH (\S+)", SCRIPT.read_text(), re.MULTILINE)) >= OPTIONS
    process = job("--config", "my recipe.yaml", "train.run=[video]")
    assert process.wait(RUN_SECONDS) == 0
    words = "train --device cuda --config my recipe.yaml train.run=[video]"
    assert read_ranks(tmp_path) == [[f"127.0.0.1 20007 2 {rank} {rank} {words}"] for rank in range(2)]
    assert not (tmp_path / "requeued").exists()


def test_failed_slurm_job_is_not_requeued(job, tmp_path):
    assert job(STATUS="2").wait(RUN_SECONDS) == 2
    assert not (tmp_path / "requeued").exists()


def test_slurm_job_at_its_time_limit_is_requeued(job, tmp_path):
    process = job("forever")
    wait_until(lambda: all((tmp_path / f"rank{rank}").exists() for rank in range(2)))
    process.send_signal(signal.SIGUSR1)
    assert process.wait(RUN_SECONDS) == 0
    assert [lines[1:] for lines in read_ranks(tmp_path)] == [["saved"], ["saved"]]
    assert (tmp_path / "requeued").read_text() == "requeue 20007\n"


TRAINING = """#!/bin/bash
exec '{python}' -c '
import sys
from aotlab.tools import train
from tests.engine.small_model import register_tiny_encoder
register_tiny_encoder()
sys.exit(train.main(sys.argv[2:]))' "$@"
"""


@pytest.mark.slow  # starts two ranks twice
def test_requeued_slurm_job_resumes_training(job, tmp_path):
    recipe = write_recipe(tmp_path, draw_sets(tmp_path), "run", steady_phase(steps=1000))
    (tmp_path / "programs" / "aotlab").write_text(TRAINING.format(python=sys.executable))
    variables = {"DEVICE": "cpu", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    log = tmp_path / "run" / "log.jsonl"
    with reserve_port() as port:
        stopped = job("--config", str(recipe), job_id=str(port), **variables)
        wait_until(lambda: log.exists() and len(read_log(log.parent)) > 1)
        stopped.send_signal(signal.SIGUSR1)
        output, _ = stopped.communicate(timeout=RUN_SECONDS)
        assert (stopped.returncode, (tmp_path / "requeued").exists()) == (0, True), output
        assert "stopped: interrupted; the state after step " in output
    done = len(read_log(log.parent))
    with reserve_port() as port:
        settings = ["--config", str(recipe), f"train.phases.0.steps={done + 2}"]
        again = job(*settings, job_id=str(port), **variables)
        output, _ = again.communicate(timeout=RUN_SECONDS)
    assert again.returncode == 0, output
    assert [line["step"] for line in read_log(log.parent)] == [*range(1, done + 3)]
