"""Commands with a closed output pipe, and signals: no traceback, no leftover files."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from aotlab.configs.files import ROOT
from aotlab.tools.cli.command import exit_on_signals
from aotlab_testing.marks import needs_posix
from aotlab_testing.processes import RUN_SECONDS, WAIT_SECONDS, read_line, start_python, wait_until

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
import click
from aotlab.evaluation.scoring import CHUNK_FRAMES, frame_mapper
from aotlab.tools.cli.command import command
from aotlab.utils.files import atomic_path

def sleep(seconds):
    time.sleep(seconds)
    return os.getpid()

def write_file(path):
    with atomic_path(Path(path)) as temporary:
        temporary.write_text("half")
        print("begun", flush=True)
        time.sleep(60)

def use_workers():
    with frame_mapper(2) as map_frames:
        for pid in {*map_frames(sleep, [0.02] * 2 * CHUNK_FRAMES)}:
            print(pid, flush=True)
        print("begun", flush=True)
        list(map_frames(sleep, [0.02] * 300 * CHUNK_FRAMES))

def print_lines(count):
    for number in range(int(count)):
        print("line", number)

def swallow_signals(times):
    for _ in range(int(times)):
        try:
            print("begun", flush=True)
            time.sleep(60)
        except BaseException:
            print("swallowed", flush=True)

@command("program", "")
@click.argument("words", nargs=-1)
def main(words):
    globals()[words[0]](*words[1:])
    return 0

if __name__ == "__main__":
    sys.exit(main())
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def shell(line, program):
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; run() {{ '{sys.executable}' '{program}' \"$@\"; }}; {line}"],
        cwd=ROOT, capture_output=True, text=True, timeout=RUN_SECONDS, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("lines", "codes"), [(10, (0, 141)), (100000, (141,))])  # 10 may be written before the end
def test_pipe_closed_early_is_not_an_error(program, lines, codes):
    done = shell(f"run print_lines {lines} | head -1; exit ${{PIPESTATUS[0]}}", program)
    assert (done.stdout, done.stderr) == ("line 0\n", "")
    assert done.returncode in codes


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
@pytest.mark.parametrize("lines", [10, 100000])
def test_full_standard_output_is_reported_in_one_sentence(program, lines):
    done = shell(f"run print_lines {lines} > /dev/full", program)
    assert (done.returncode, done.stderr) == (1, "stopped: the disk is full; free space\n")


@needs_posix
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signal_removes_the_unfinished_file(program, tmp_path, name):
    process = start_python(program, "write_file", tmp_path / "out" / "file.txt")
    assert read_line(process) == "begun\n"
    process.send_signal(getattr(signal, name))
    _, message = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 128 + getattr(signal, name)
    assert "Traceback" not in message
    assert list((tmp_path / "out").iterdir()) == []


@needs_posix
def test_swallowed_signal_can_be_sent_again(program):
    process = start_python(program, "swallow_signals", 2)
    for _ in range(2):
        assert read_line(process) == "begun\n"
        process.send_signal(signal.SIGTERM)
        assert read_line(process) == "swallowed\n"
    assert process.wait(timeout=WAIT_SECONDS) == 0


@needs_posix
@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_second_signal_ends_the_cleanup(number, error):
    with exit_on_signals():
        for _ in range(2):
            with pytest.raises(error):
                signal.raise_signal(number)


def is_running(pid):
    """Whether a process runs; one that has ended may stay as a zombie where nothing waits for it, as in containers."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@needs_posix
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_workers_end_with_their_program(program, name):
    process = start_python(program, "use_workers")
    workers = []
    while (line := read_line(process)) not in ("begun\n", ""):
        workers.append(int(line))
    assert workers
    process.send_signal(getattr(signal, name))
    process.communicate(timeout=WAIT_SECONDS)
    wait_until(lambda: not any(map(is_running, workers)))


IMPORTING = """
import sys, time
from aotlab.__main__ import main

class SlowImport:
    def find_spec(self, name, *_):
        if name == "aotlab.tools.main":
            print("begun", flush=True)
            time.sleep(60)

sys.meta_path.insert(0, SlowImport())
sys.exit(main())
"""


@needs_posix
def test_several_interrupts_print_no_traceback():
    process = start_python("-c", IMPORTING)
    assert read_line(process) == "begun\n"
    process.send_signal(signal.SIGINT)
    assert read_line(process, "stderr") == "interrupted\n"
    for _ in range(4):
        process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=WAIT_SECONDS)[1] == ""
    assert process.returncode in (130, -signal.SIGINT)  # the later ones end it while Python exits
