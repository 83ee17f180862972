"""Commands in several processes: what they say is all that is said, and their status is the status."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from aotlab.tools.cli.ranks import FILE, note_for_torchrun
from aotlab.tools.torchrun import main, parse, require_address
from aotlab.utils.distributed import World, _reason, noticing_lost_ranks

ROOT = Path(__file__).resolve().parents[2]
RANKS = """
    import os, signal, sys, time
    rank = int(os.environ["RANK"])
    if sys.argv[1] == "killed" and rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[1] == "wrong":
        if rank == 0:
            print("error: a sentence", file=sys.stderr)
        sys.exit(2)
    if sys.argv[1] == "killed":
        time.sleep(30)
    sys.exit(0)
"""


@pytest.mark.slow  # three processes, of which one imports PyTorch
@pytest.mark.parametrize(
    ("what", "status", "words"),
    [("right", 0, ""), ("wrong", 2, "error: a sentence\n"), ("killed", 1, "was ended by SIGKILL\n")],
)
def test_a_process_that_fails_is_one_sentence_and_its_status(tmp_path, what, status, words):
    (tmp_path / "ranks.py").write_text(textwrap.dedent(RANKS))
    command = [sys.executable, str(ROOT / "tools" / "torchrun.py"), "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(tmp_path / "ranks.py"), what], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == status, done.stderr
    assert done.stderr.endswith(words)
    assert done.stderr.count("\n") == bool(words)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--master-addr", "nowhere.invalid"], "--master-addr nowhere.invalid"),
        (
            ["--rdzv-endpoint", "nowhere.invalid:29400", "--rdzv-backend", "c10d"],
            "--rdzv-endpoint nowhere.invalid",
        ),
        (["--master-addr", "a" * 70 + ".invalid"], "--master-addr a"),
    ],
)
def test_a_machine_whose_name_nobody_knows_is_refused_before_processes_wait_for_it(capsys, options, name):
    assert main(["--nnodes", "2", "--node-rank", "1", *options, "eval"]) == 2
    said = capsys.readouterr().err
    assert f"torchrun: {name}" in said
    assert "no machine has this name" in said


def test_addresses_that_are_known_or_not_needed_are_taken():
    require_address(parse(["--nnodes", "2", "--master-addr", "127.0.0.1", "eval"]))
    require_address(
        parse(["--nnodes", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:29400", "eval"])
    )
    require_address(parse(["--standalone", "--master-addr", "nowhere.invalid", "eval"]))


def test_a_command_stands_for_its_tool_and_processes_meet_at_a_free_port():
    args = parse(["--nproc-per-node", "2", "check-data", "--root", "x"])
    assert (args.module, args.training_script) == (True, "aotlab.tools.check_data")
    assert args.training_script_args == ["--root", "x"]
    assert args.standalone
    assert not parse(["--master-port=29511", "eval"]).standalone
    assert not parse(["--nnodes", "2", "eval", "--standalone"]).standalone


@pytest.mark.parametrize(
    "line",
    [
        [],
        ["--nproc-per-node", "x", "eval"],
        ["evall"],
        ["--nosuch", "1", "eval"],
        ["--nnodes", "a:b", "eval"],
    ],
)
def test_a_wrong_command_line_is_one_sentence(line, capsys):
    try:
        status = main(line)
    except SystemExit as error:
        status = error.code
    message = capsys.readouterr().err
    assert status == 2
    assert message.count("\n") == 1
    assert "see aotlab torchrun --help" in message


def test_what_torchrun_shows_of_a_failure_is_its_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv(FILE, str(tmp_path / "error.json"))
    note_for_torchrun("error: the first")
    note_for_torchrun("error: another")
    errors = pytest.importorskip("torch.distributed.elastic.multiprocessing.errors")
    failure = errors.ProcessFailure(0, 1, 2, str(tmp_path / "error.json"))
    text = str(errors.ChildFailedError("x", {0: failure}))
    assert "traceback : error: the first" in text
    assert "another" not in text
    assert json.loads((tmp_path / "error.json").read_text())["message"]["message"] == "error: the first"


def test_a_lost_rank_is_told_without_source_files_and_advice():
    text = (
        "[/__w/gloo/transport/tcp/pair.cc:561] Connection closed by peer [127.0.0.1]:40606. This is typically caused "
        "by a remote worker crashing. GLHF! \\N{palm tree}\nmore"
    )
    assert _reason(RuntimeError(text)) == "Connection closed by peer [127.0.0.1]:40606"
    assert _reason(RuntimeError("")) == "RuntimeError"
    with pytest.raises(RuntimeError, match=r"\(gone\); go on$"), noticing_lost_ranks("go on"):
        raise RuntimeError("gone")


def test_one_process_gathers_its_own():
    assert World("cpu").gather(3, "go on") == [3]
