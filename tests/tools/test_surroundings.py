"""Programs whose standard streams are closed or full, and that are asked to end: no traceback, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKING = """
    import sys, time
    from pathlib import Path
    from aotlab.tools.cli.parser import command
    from aotlab.utils.files import atomic_path

    @command
    def main(argv=None):
        with atomic_path(Path(sys.argv[1])) as temporary:
            temporary.write_text("half")
            print("begun", flush=True)
            time.sleep(60)
        return 0

    sys.exit(main())
"""
POOLED = """
    import sys, time
    from aotlab.tools.cli.parser import command
    from aotlab.utils.processes import worker_pool

    @command
    def main(argv=None):
        with worker_pool(2, "json") as pool:
            for pid in [each.result() for each in [pool.submit(work, 0.5) for _ in range(2)]]:
                print(pid, flush=True)
            print("begun", flush=True)
            for each in [pool.submit(work, 1.0) for _ in range(60)]:
                each.result()
        return 0

    def work(seconds):
        import os
        time.sleep(seconds)
        return os.getpid()

    if __name__ == "__main__":
        sys.exit(main())
"""
PRINTING = """
    import sys
    from aotlab.tools.cli.parser import command

    @command
    def main(argv=None):
        for number in range(int(sys.argv[1])):
            print("line", number)
        return 0

    sys.exit(main())
"""
NOISY = """
    import logging, sys
    from tqdm import tqdm
    from aotlab.tools.cli.parser import command

    @command
    def main(argv=None):
        for number in tqdm(range(5000)):
            print("remark", number, file=sys.stderr, flush=True)
        logging.warning("a warning")
        return 0

    sys.exit(main())
"""


SWALLOWING = """
    import sys, time
    from aotlab.tools.cli import stdio
    from aotlab.tools.cli.parser import command

    stdio.GRACE = 0.2

    @command
    def main(argv=None):
        for _ in range(2 if sys.argv[1] == "stubborn" else 1):
            try:
                print("begun", flush=True)
                time.sleep(60)
            except BaseException:
                print("swallowed", flush=True)
        if sys.argv[1] == "broken":
            raise AttributeError("a half imported module")
        return 0

    sys.exit(main())
"""


def program(folder: Path, text: str) -> str:
    path = folder / "program.py"
    path.write_text(textwrap.dedent(text))
    return str(path)


def shell(line: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}", "bash", sys.executable, *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone_within(seconds: float, *pids: int) -> bool:
    deadline = time.monotonic() + seconds
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not any(is_alive(pid) for pid in pids)


@pytest.mark.parametrize("lines", ["10", "100000"])
def test_output_that_nobody_reads_to_its_end_is_no_error(tmp_path: Path, lines: str) -> None:
    done = shell('"$1" "$2" "$3" | head -1; exit ${PIPESTATUS[0]}', program(tmp_path, PRINTING), lines)
    assert done.stdout == "line 0\n"
    assert done.stderr == ""
    assert done.returncode in (0, 141)


@pytest.mark.parametrize("lines", ["10", "100000"])
def test_output_on_a_full_disk_is_one_sentence(tmp_path: Path, lines: str) -> None:
    done = shell('"$1" "$2" "$3" > /dev/full', program(tmp_path, PRINTING), lines)
    assert done.returncode == 1
    assert done.stderr == "error: standard output: cannot be written (No space left on device)\n"


def test_messages_on_a_full_disk_end_no_work(tmp_path: Path) -> None:
    assert shell('"$1" "$2" 2> /dev/full', program(tmp_path, NOISY)).returncode == 0


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("text", ["PRINTING", "NOISY"])
def test_closed_streams_are_no_error(tmp_path: Path, closed: str, text: str) -> None:
    done = shell(f'"$1" "$2" 10 {closed}', program(tmp_path, globals()[text]))
    assert done.returncode == 0
    assert done.stderr == "" or text == "NOISY"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_to_end_leaves_no_half_written_file(tmp_path: Path, name: str) -> None:
    number = getattr(signal, name, None)
    if number is None:
        pytest.skip(f"this system has no {name}")
    target = tmp_path / "out" / "file.txt"
    begun = subprocess.Popen(
        [sys.executable, program(tmp_path, WORKING), str(target)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert begun.stdout is not None
    assert begun.stdout.readline() == "begun\n"
    begun.send_signal(number)
    _, message = begun.communicate(timeout=30)
    assert begun.returncode == 128 + number
    assert "Traceback" not in message
    assert list(target.parent.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="this system has no such signals")
@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_an_error_that_a_library_makes_of_a_signal_is_no_fault(
    tmp_path: Path, name: str, status: int
) -> None:
    begun = subprocess.Popen(
        [sys.executable, program(tmp_path, SWALLOWING), "broken"], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert begun.stdout is not None
    assert begun.stdout.readline() == "begun\n"
    begun.send_signal(getattr(signal, name))
    _, message = begun.communicate(timeout=30)
    assert begun.returncode == status
    assert message == ("interrupted\n" if name == "SIGINT" else "")


@pytest.mark.skipif(os.name != "posix", reason="this system has no such signals")
def test_a_program_that_a_library_kept_from_ending_can_be_asked_again(tmp_path: Path) -> None:
    begun = subprocess.Popen(
        [sys.executable, program(tmp_path, SWALLOWING), "stubborn"],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
    )
    assert begun.stdout is not None
    for line in ("begun\n", "swallowed\n", "begun\n"):
        if line == "swallowed\n":
            begun.send_signal(signal.SIGTERM)
        assert begun.stdout.readline() == line
    time.sleep(0.3)
    begun.send_signal(signal.SIGTERM)
    assert begun.stdout.readline() == "swallowed\n"
    assert begun.wait(timeout=30) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_survives_the_program_that_started_it(tmp_path: Path, number: signal.Signals) -> None:
    begun = subprocess.Popen(
        [sys.executable, program(tmp_path, POOLED)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert begun.stdout is not None
    workers = []
    while (line := begun.stdout.readline()) not in ("begun\n", ""):
        workers.append(int(line))
    assert workers
    begun.send_signal(number)
    begun.wait(timeout=30)
    assert gone_within(15, *workers)


@pytest.mark.skipif(os.name != "posix", reason="this system has no such signals")
@pytest.mark.parametrize("delay", [0.2, 0.5])
def test_several_interrupts_show_no_traceback(tmp_path: Path, delay: float) -> None:
    script = "import sys; from aotlab.__main__ import main; print(flush=True); sys.exit(main())"
    begun = subprocess.Popen(
        [sys.executable, "-c", script, "track", "--print-config"], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert begun.stdout is not None
    begun.stdout.readline()
    time.sleep(delay)
    for _ in range(5):
        begun.send_signal(signal.SIGINT)
        time.sleep(0.02)
    _, message = begun.communicate(timeout=60)
    assert begun.returncode in (130, -signal.SIGINT)
    assert message in ("interrupted\n", "")
