"""Several ranks on this machine's CPU, as torchrun starts them, against one process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aotlab.engine.training.state import list_saved_states
from aotlab.tools import train as train_tool
from tests.engine.training.tiny_recipes import EXACT, steady_phase, write_recipe

ROOT = Path(__file__).resolve().parents[3]
TRAIN = str(ROOT / "tools" / "train.py")


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src"), **more}


def losses(output: Path) -> list[float]:
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.fixture
def recipe_file(tmp_path, data):
    def make(output, **options):
        return write_recipe(tmp_path, data, output, steady_phase(**options))

    return make


def free_port() -> str:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return str(server.getsockname()[1])


def start_ranks(file: Path, **streams: int) -> list[subprocess.Popen[str]]:
    """Two ranks of one run, as torchrun starts them."""
    port = free_port()
    return [
        subprocess.Popen(
            [sys.executable, TRAIN, "--config", str(file), *EXACT],
            env=environment(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
                            MASTER_PORT=port),
            stderr=subprocess.PIPE, text=True, **streams,
        )
        for rank in range(2)
    ]  # fmt: skip


def test_two_ranks_equal_one_process(recipe_file, tmp_path):
    ranks = start_ranks(recipe_file("two", steps=2), stdout=subprocess.PIPE)
    assert train_tool.main(["--config", str(recipe_file("one", steps=2)), *EXACT]) == 0
    answers = [rank.communicate(timeout=240) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], answers
    assert not any("deprecated" in errors for _, errors in answers)
    assert (
        "".join(output for output, _ in answers).count("trained weights") == 1
    )  # the main rank speaks for all
    # Sums of float32 in another order; 5e-7 was seen.
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-5)


@pytest.mark.slow  # starts three processes and lets one die
def test_killed_rank_stops_with_a_resumable_state(recipe_file, tmp_path):
    file = recipe_file("run", steps=400)
    ranks = start_ranks(file, stdout=subprocess.DEVNULL)
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 240
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
    command = [sys.executable, TRAIN, "--config", str(file), *EXACT,
               f"train.phases.0.steps={step + 1}"]  # fmt: skip
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # the line of the step during which the rank was lost may be missing
    assert len(losses(tmp_path / "run")) in (step, step + 1)
