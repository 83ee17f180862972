"""Process groups of torchrun: invalid environments and lost ranks."""

import socket

import pytest
import torch

from aotlab.utils import distributed
from aotlab.utils.distributed import Distributed, join_process_group
from aotlab.utils.errors import InputError, RunStopped
from aotlab_testing.marks import needs_posix
from aotlab_testing.processes import reserve_port, run_python

NAMES = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
TWO = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}


def join(monkeypatch, values):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with join_process_group("cpu"):
        pass


@pytest.mark.parametrize(("values", "words"), [
    ({"WORLD_SIZE": "two"}, "WORLD_SIZE=two: not a whole number"),
    ({**TWO, "WORLD_SIZE": "0", "MASTER_PORT": "1"}, "127.0.0.1:1: the processes cannot join there"),
    ({"WORLD_SIZE": "-1"}, "WORLD_SIZE=-1: not a whole number"),
    ({"WORLD_SIZE": ""}, "WORLD_SIZE=: not a whole number"),
    ({"WORLD_SIZE": "2"}, "environment variable RANK expected"),
    ({**TWO, "MASTER_PORT": "port"}, "127.0.0.1:port: the processes cannot join there"),
    (TWO, "127.0.0.1:MASTER_PORT: the processes cannot join there"),
])  # fmt: skip
def test_invalid_torchrun_environment_rejected(values, words, monkeypatch):
    with pytest.raises((InputError, RunStopped)) as caught:
        join(monkeypatch, values)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_taken_port_rejected(monkeypatch):
    with socket.socket() as server:
        server.bind(("", 0))
        server.listen()
        port = str(server.getsockname()[1])
        with pytest.raises(RunStopped, match=f"127.0.0.1:{port}: .*EADDRINUSE.* on a free --master-port"):
            join(monkeypatch, {**TWO, "MASTER_PORT": port})


def test_single_process_runs_without_environment(monkeypatch):
    join(monkeypatch, {})
    join(monkeypatch, {"WORLD_SIZE": "1"})


def test_bad_input_of_a_single_rank_is_unchanged():
    with pytest.raises(InputError, match=r"^a\.png: damaged$"), join_process_group("cpu"):
        raise InputError("a.png: damaged")


RANKS = """
import os, signal, sys
from aotlab.tools.cli.command import command
from aotlab.utils.distributed import join_process_group
from aotlab.utils.errors import InputError

@command("program", "")
def main():
    with join_process_group("cpu") as world:
        {act}
    return 0

second = os.fork()
os.environ["RANK"] = os.environ["LOCAL_RANK"] = "0" if second else "1"
status = main()
if second:
    print(status, os.waitstatus_to_exitcode(os.waitpid(second, 0)[1]))
sys.exit(status)
"""
"""Two ranks that import once; the first prints both exit codes."""
DIE = """
        world.gather(world.rank)
        if world.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        world.mean([1.0])
"""
REFUSE = """
        with world.share_errors():
            if world.rank == {rank}:
                raise InputError("damaged", subject="a.png", remedy="repair it")
"""


def run_ranks(act):
    with reserve_port() as port:
        return run_python("-c", RANKS.replace("{act}", act.strip()), env={**TWO, "MASTER_PORT": str(port)})


@needs_posix
@pytest.mark.parametrize("rank", [0, 1])
def test_shared_error_is_one_sentence_of_all_ranks(rank):
    done = run_ranks(REFUSE.format(rank=rank))
    assert done.stderr == "error: a.png: damaged; repair it\n"
    assert done.stdout.split() == ["2", "2"]


@needs_posix
def test_death_of_a_rank_stops_the_others():
    done = run_ranks(DIE)
    assert done.returncode == 1
    assert "stopped: lost contact between ranks" in done.stderr
    assert "Traceback" not in done.stderr


def test_other_ranks_wait_until_the_main_rank_has_the_lock(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(
        Distributed, "gather", lambda world, item: calls.append((tmp_path / ".lock").is_file()) or [item]
    )
    for rank, expected in ((0, [True]), (1, [True, False])):
        with Distributed(torch.device("cpu"), rank, world_size=2).lock_output(tmp_path):
            assert calls == expected


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_ranks_use_the_gpu_of_their_local_rank(name, monkeypatch):
    asked = []
    monkeypatch.setattr(distributed, "resolve_device", lambda name: "cuda")
    monkeypatch.setattr(distributed, "pick_device", lambda name: asked.append(name) or torch.device("cpu"))
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(distributed.dist, "init_process_group", lambda backend, timeout: None)
    distributed._init_process_group(name, None)
    assert asked == ["cuda:3"]
