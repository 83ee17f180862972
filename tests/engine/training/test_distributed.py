"""Several ranks on this machine's CPU, as torchrun starts them, against one process."""

import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import get_context
from pathlib import Path

import pytest

from aotlab.engine.training.state import list_saved_states
from aotlab.tools import train as train_tool
from tests.engine.training.tiny_recipes import EXACT, assert_same_steps, read_log, steady_phase, write_recipe
from tests.processes import reserve_port, run_python, start_python

TRAIN = ("-m", "aotlab", "train")


def train_rank(rank: int, port: int, line: list[str], log: Path) -> None:
    """Train as one of two ranks in a process of its own; its output goes to a file."""
    os.environ.update(rank_variables(port), RANK=str(rank), LOCAL_RANK=str(rank))
    with log.open("w") as file, redirect_stdout(file), redirect_stderr(file):
        sys.exit(train_tool.main(line))


@pytest.fixture
def recipe_file(tmp_path, data):
    def make(output, **options):
        return write_recipe(tmp_path, data, output, steady_phase(**options))

    return make


def rank_variables(port: int) -> dict[str, str]:
    return {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def test_two_ranks_equal_one_process(recipe_file, tmp_path):
    settings = [*EXACT, "train.accumulate=2"]
    line = ["--config", str(recipe_file("two", steps=2, batch=4)), *settings]
    logs = [tmp_path / "0.log", tmp_path / "1.log"]
    context = get_context("spawn")  # autograd does not work in a fork of a process that has used it
    with reserve_port() as port:
        ranks = [context.Process(target=train_rank, args=(rank, port, line, logs[rank])) for rank in (0, 1)]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join(240)
    output = "".join(log.read_text() for log in logs)
    assert [rank.exitcode for rank in ranks] == [0, 0], output
    assert "deprecated" not in output
    assert output.count("trained weights") == 1  # the main rank speaks for all
    assert train_tool.main(["--config", str(recipe_file("one", steps=2, batch=4)), *settings]) == 0
    assert_same_steps(read_log(tmp_path / "two"), read_log(tmp_path / "one"))


@pytest.mark.slow  # starts three processes and lets one die
def test_killed_rank_stops_with_a_resumable_state(recipe_file, tmp_path):
    file = recipe_file("run", steps=400)
    command = [*TRAIN, "--config", str(file), *EXACT]
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 240
    with reserve_port() as port:
        ranks = [
            start_python(
                *command,
                env={**rank_variables(port), "RANK": rank, "LOCAL_RANK": rank},
                stdout=subprocess.DEVNULL,
            )
            for rank in "01"
        ]
        while not (log.is_file() and '"step": 3' in log.read_text()):
            assert time.monotonic() < deadline, "no third step"
            assert all(rank.poll() is None for rank in ranks), "a rank ended early"
            time.sleep(0.2)
    ranks[1].send_signal(signal.SIGKILL)
    _, message = ranks[0].communicate(timeout=240)
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
