"""Several ranks on this machine's CPU, as torchrun starts them, against one process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from torch.distributed import distributed_c10d

from aotlab.engine.training.state import list_saved_states
from aotlab.tools import train as train_tool
from aotlab.tools.cli.command import command
from aotlab.utils.distributed import join_process_group
from tests.engine.training.tiny_recipes import EXACT, steady_phase, write_recipe

ROOT = Path(__file__).resolve().parents[3]
TRAIN = str(ROOT / "tools" / "train.py")


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


def rank_environment(rank: int, port: str) -> dict[str, str]:
    """What torchrun sets for one of two ranks."""
    return {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port}  # fmt: skip


def start(rank: int, port: str, *words: str | Path) -> subprocess.Popen[str]:
    """Start Python as a rank."""
    return subprocess.Popen(
        [sys.executable, *words], env={**os.environ, **rank_environment(rank, port)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def become_first_rank(monkeypatch):
    """Makes this process the first rank, as starting one costs seconds."""

    def become(port):
        for name, value in rank_environment(0, port).items():
            monkeypatch.setenv(name, value)
        # groups that an earlier test could not join count too, and their number is part of the name
        monkeypatch.setattr(distributed_c10d._world, "group_count", 0)

    return become


def test_two_ranks_equal_one_process(recipe_file, tmp_path, become_first_rank, capsys):
    file, port = recipe_file("two", steps=2), free_port()
    second = start(1, port, TRAIN, "--config", file, *EXACT)
    assert train_tool.main(["--config", str(recipe_file("one", steps=2)), *EXACT]) == 0
    capsys.readouterr()
    become_first_rank(port)
    assert train_tool.main(["--config", str(file), *EXACT]) == 0
    assert capsys.readouterr().out.count("trained weights") == 1
    output, message = second.communicate(timeout=240)
    assert (second.returncode, output) == (0, ""), message  # the lead speaks for all
    # Sums of float32 in another order; 5e-7 was seen.
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-5)


KILLED = """
import os, signal
from aotlab.utils.distributed import join_process_group
with join_process_group("cpu") as world:
    world.gather(world.rank)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@command("program", "")
def exchange_twice():
    with join_process_group("cpu", timeout=timedelta(minutes=4)) as world:
        world.gather(world.rank)
        world.mean([1.0])
    return 0


def test_death_of_a_rank_stops_the_others(become_first_rank, capsys):
    port = free_port()
    second = start(1, port, "-c", KILLED)
    become_first_rank(port)
    assert exchange_twice([]) == 1
    second.communicate(timeout=120)
    assert second.returncode == -signal.SIGKILL
    message = capsys.readouterr().err
    assert "stopped: lost contact between ranks" in message
    assert "Traceback" not in message


@pytest.mark.slow  # starts three processes and lets one die
def test_killed_rank_stops_with_a_resumable_state(recipe_file, tmp_path):
    file = recipe_file("run", steps=400)
    port = free_port()
    ranks = [start(rank, port, TRAIN, "--config", file, *EXACT) for rank in range(2)]
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
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(losses(tmp_path / "run")) == step + 1
