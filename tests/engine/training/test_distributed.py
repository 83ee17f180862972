"""Several ranks on this machine's CPU, as torchrun starts them, against one process."""

import subprocess
import time
from contextlib import ExitStack

import pytest

from aotlab.engine.training.state import list_saved_states
from aotlab.tools import train as train_tool
from tests.engine.training.tiny_recipes import (
    WITHOUT_DROP_PATH,
    assert_same_steps,
    read_log,
    steady_phase,
    write_recipe,
)
from tests.marks import needs_posix
from tests.processes import RUN_SECONDS, reserve_port, run_python, start_python

TRAIN = ("-m", "aotlab", "train")


RANKS = """
import os, sys
import aotlab.engine.training.trainer
import tests.engine.small_model  # registers the encoder of the recipe
from aotlab.tools import train

second = os.fork()
os.environ["RANK"] = os.environ["LOCAL_RANK"] = "0" if second else "1"
status = train.main(sys.argv[1:])
if second:
    status = status or os.waitstatus_to_exitcode(os.waitpid(second, 0)[1])
sys.exit(status)
"""
"""Two ranks that import once; they part before autograd runs, which fails in later forks."""


@pytest.fixture
def recipe_file(tmp_path, data):
    def make(output, **options):
        return write_recipe(tmp_path, data, output, steady_phase(**options))

    return make


def rank_variables(port: int) -> dict[str, str]:
    return {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


@needs_posix
def test_two_ranks_equal_one_process(recipe_file, tmp_path):
    settings = [WITHOUT_DROP_PATH, "train.accumulate=2"]
    line = ["--config", recipe_file("two", steps=2, batch=4, clip_length=2), *settings]
    with reserve_port() as port:
        done = run_python("-c", RANKS, *line, env=rank_variables(port))
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "deprecated" not in output
    assert output.count("trained weights") == 1  # the main rank speaks for all
    assert train_tool.main(["--config", str(recipe_file("one", steps=2, batch=4, clip_length=2)), *settings]) == 0
    assert_same_steps(read_log(tmp_path / "two"), read_log(tmp_path / "one"))


@pytest.mark.slow  # starts three processes and lets one die
def test_killed_rank_stops_with_a_resumable_state(recipe_file, tmp_path):
    file = recipe_file("run", steps=400)
    command = [*TRAIN, "--config", str(file), "model.encoder=mobilenet_v2"]
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + RUN_SECONDS
    with reserve_port() as port, ExitStack() as started:
        ranks = []
        for rank in "01":
            variables = {**rank_variables(port), "RANK": rank, "LOCAL_RANK": rank}
            ranks.append(start_python(*command, env=variables, stdout=subprocess.DEVNULL))
            started.callback(ranks[-1].kill)
        while not (log.is_file() and '"step": 3' in log.read_text()):
            assert time.monotonic() < deadline, "no third step"
            assert all(rank.poll() is None for rank in ranks), "a rank ended early"
            time.sleep(0.2)
        ranks[1].kill()
        _, message = ranks[0].communicate(timeout=RUN_SECONDS)
        ranks[1].communicate()
    assert ranks[0].returncode == 1
    assert "stopped: lost contact between ranks" in message
    assert "Traceback" not in message
    (state,) = list_saved_states(tmp_path / "run")
    step = int(state.stem.rsplit("_", 1)[-1])
    assert step >= 3
    done = run_python(*command, f"train.phases.0.steps={step + 1}")
    assert done.returncode == 0, done.stderr
    # the line of the step during which the rank was lost may be missing
    assert len(read_log(tmp_path / "run")) in (step, step + 1)
