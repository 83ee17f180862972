"""Subprocesses: Python with this checkout on its path, functions that may be killed; waits that fail on timeout."""

import multiprocessing
import os
import pkgutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from aotlab.configs.files import ROOT

KILLED = 9
WAIT_SECONDS = 90
"""How long a test waits for an event; a busy machine imports PyTorch in half a minute."""
RUN_SECONDS = 300
"""How long a test waits for the end of a process that does all of its work."""


def run_python(
    *words: object, env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run Python with arguments, further variables, and options of `subprocess.run`; return its result with output."""
    return subprocess.run(**_prepare(words, env) | {"capture_output": True, "timeout": RUN_SECONDS} | options)


def start_python(*words: object, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
    """Start Python as `run_python` does; its standard output and errors are pipes."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(**_prepare(words, env), **pipes | options)


def read_line(process: subprocess.Popen[str], stream: str = "stdout") -> str:
    """Return the next line of a process that `start_python` started; kill it on timeout, which ends the line."""
    timer = threading.Timer(WAIT_SECONDS, process.kill)
    timer.start()
    try:
        return str(getattr(process, stream).readline())
    finally:
        timer.cancel()


def _prepare(words: tuple[object, ...], env: Mapping[str, str] | None) -> dict[str, Any]:
    folders = ("src", *ROOT.glob("packages/*/src"), "packages", ".")
    path = os.pathsep.join(str(ROOT / folder) for folder in folders)
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **(env or {})}
    return {"args": [sys.executable, *map(str, words)], "env": variables, "cwd": ROOT, "text": True}


def survives_in_subprocess(work: Callable[..., object], *args: object) -> bool:
    """Run ``work`` in a new process; return whether it completed, and was not killed by `kill_at_call`."""
    context: Any = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
    if os.name == "posix":
        context.set_forkserver_preload([work.__module__])
    process = context.Process(target=work, args=args)
    process.start()
    process.join(RUN_SECONDS)
    if process.exitcode is None:
        process.kill()
        pytest.fail(f"the process still runs after {RUN_SECONDS} s")
    assert process.exitcode in (0, KILLED)
    return process.exitcode == 0


def kill_at_call(function: str, number: int = 1) -> None:
    """End this process at once, without clean-up, when a function is called for the ``number``-th time; 0: never."""
    place, name = function.rsplit(".", 1)
    owner, numbers = pkgutil.resolve_name(place), count(1)
    original = getattr(owner, name)

    def call_or_die(*args: Any, **options: Any) -> Any:
        if next(numbers) == number:
            os._exit(KILLED)
        return original(*args, **options)

    setattr(owner, name, call_or_die)


def commit_all(folder: Path) -> str:
    """Make a folder a repository of git with one commit of all files; return the commit."""
    user = ("-c", "user.name=me", "-c", "user.email=me@example.com")
    for words in (("init", "-q"), ("add", "."), (*user, "commit", "-q", "-m", "first")):
        subprocess.check_call(("git", *words), cwd=folder)
    return subprocess.check_output(("git", "rev-parse", "HEAD"), cwd=folder, text=True).strip()


def wait_for_event(event: threading.Event) -> None:
    """Wait until an event is set; fail on timeout."""
    assert event.wait(WAIT_SECONDS), f"{event} after {WAIT_SECONDS} s"


def wait_until(condition: Callable[[], object], seconds: float = WAIT_SECONDS, *, pause: float = 0.005) -> None:
    """Wait until a condition is true; on timeout, name the place where it is written."""
    end, code = time.monotonic() + seconds, condition.__code__
    while not condition():
        assert time.monotonic() < end, f"{code.co_filename}:{code.co_firstlineno}: still false"
        time.sleep(pause)


@contextmanager
def reserve_port() -> Iterator[int]:
    """Yield a free port that only servers asking for it get."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])
