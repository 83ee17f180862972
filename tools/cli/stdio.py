"""Standard streams, which may be closed or full, and signals that end a command."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import click

from aotlab.utils.errors import RunStopped
from aotlab.utils.processes import handle_stop_signals

INTERRUPTED = 130
"""exit code after Ctrl-C, as in shells"""
PIPE_CLOSED = 141
"""exit code after a closed output pipe, as in shells"""
SIGNAL_EXIT_BASE = 128
"""added to a signal's number in the exit code, as in shells"""


@contextmanager
def protect_stdout() -> Iterator[None]:
    """Run the block with usable standard streams.

    Raises:
        click.exceptions.Exit: standard output is a closed pipe.
        RunStopped: standard output is on a full disk.
    """
    for number in range(3):  # so that no other file gets the number of a closed stream
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC) or error.filename is not None:
            raise
        # the interpreter flushes once more when it ends
        with suppress(OSError, ValueError), open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise click.exceptions.Exit(PIPE_CLOSED) from error
        raise RunStopped(f"standard output: cannot be written ({error.strerror})") from error


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Raise `SystemExit` on SIGTERM and SIGHUP and `KeyboardInterrupt` on Ctrl-C while the block runs.

    The block ends with this exception, whatever error a library turns it into: an interrupted import, for example,
    causes other errors later.
    """
    raised: list[BaseException] = []

    def end(number: int, _: FrameType | None) -> None:
        interrupted = number == signal.SIGINT
        raised.append(KeyboardInterrupt() if interrupted else SystemExit(SIGNAL_EXIT_BASE + number))
        raise raised[-1]

    try:
        with handle_stop_signals(end):
            yield
    except Exception as error:
        if raised:
            raise raised[-1] from error
        raise
