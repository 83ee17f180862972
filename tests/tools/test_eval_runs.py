"""The benchmark program with the bundled model at a tiny size: views, ensembles, kills, ranks, and what follows."""

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

from aotlab.engine.benchmark.evaluator import RECORDS
from aotlab.tools.eval import main
from tests.drawn_clips import draw_clip, lay_out_split, stems_from
from tests.limits import files_up_to

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = str(ROOT / "tools" / "eval.py")
TINY = ["--max-long-edge", "48"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six clips of their own lengths."""
    root = tmp_path_factory.mktemp("clips")
    clips = {f"clip{n}": draw_clip(stems_from(0, 4 + n), {1: 0, 2: 0}, seed=n) for n in range(6)}
    lay_out_split(root, clips)
    return root


def options(data, output, *more):
    return ["--dataset", "folder", "--root", str(data), "--output", str(output), *TINY, *more]


def results(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """Results of a run that nothing disturbed, by a process of its own as all that are compared with them."""
    output = tmp_path_factory.mktemp("whole")
    command = [sys.executable, PROGRAM, *options(data, output)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return output


@pytest.mark.slow
def test_full_disk_keeps_masks_and_the_printed_table(data, tmp_path, capsys):
    assert main(options(data, tmp_path)) == 0
    (tmp_path / "scores.json").unlink()
    masks = results(tmp_path)
    capsys.readouterr()
    with files_up_to(50):
        assert main(options(data, tmp_path)) == 1
    said = capsys.readouterr()
    assert "clip5" in said.out or "J&F" in said.out
    assert "scores.json: cannot be written (File too large)" in said.err
    assert results(tmp_path) == masks


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_run_resumes_to_identical_results(data, whole, tmp_path, number):
    command = [sys.executable, PROGRAM, *options(data, tmp_path)]
    run = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
    while run.poll() is None and len(list((tmp_path / RECORDS).glob("*.json"))) < 2:
        time.sleep(0.005)
    run.send_signal(number)
    _, said = run.communicate()
    finished = len(list((tmp_path / RECORDS).glob("*.json")))
    assert 2 <= finished < 6
    if number == signal.SIGTERM:
        assert run.returncode == 1
        assert f"{finished} of 6 sequences are done" in said.splitlines()[-1]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"finished before: {finished} of 6" in done.stdout
    assert results(tmp_path) == results(whole)
    ours, theirs = (json.loads((folder / "scores.json").read_text()) for folder in (tmp_path, whole))
    assert (ours["J&F"], ours["sequences"]) == (theirs["J&F"], theirs["sequences"])


@pytest.mark.slow
def test_two_ranks_write_what_one_process_does(data, whole, tmp_path):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = str(server.getsockname()[1])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", port]
    done = subprocess.run(
        [*torchrun, PROGRAM, *options(data, tmp_path)],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("mean of 12 objects") == 1  # the lead speaks for all
    assert results(tmp_path) == results(whole)
    ours, theirs = (json.loads((folder / "scores.json").read_text()) for folder in (tmp_path, whole))
    assert ours["sequences"] == theirs["sequences"]


def test_second_run_finds_all_and_other_settings_run_again(data, tmp_path, capsys):
    arguments = options(data, tmp_path, "--sequence", "clip0")
    assert main(arguments) == 0
    before = results(tmp_path)
    capsys.readouterr()
    assert main(arguments) == 0
    assert "finished before: 1 of 1" in capsys.readouterr().out
    assert results(tmp_path) == before
    for more in (["--flip"], ["memory.every=2"]):
        assert main([*arguments, *more]) == 2
        assert "holds results of other models or settings" in capsys.readouterr().err
    assert results(tmp_path) == before
    assert main([*arguments, "--flip", "--force"]) == 0
    assert "finished before" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--weights", "1", "2"], "--weights: 2 of them for 1 models"),
        (["--scales", "1.0", "1.0"], "scales 1.0 1.0: give different numbers"),
        (["--config", "aott", "--config", "aotl"], "--config: 2 of them for 1 of --checkpoint"),
    ],
)
def test_what_does_not_fit_together_rejected(data, tmp_path, capsys, more, message):
    assert main(options(data, tmp_path, *more)) == 2
    assert message in capsys.readouterr().err
