"""Standard streams, which may be closed or full, and signals that end a command."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from aotlab.utils.processes import STOP_SIGNALS

INTERRUPTED = 130
"""exit code after Ctrl-C, as in shells"""
PIPE_CLOSED = 141
"""exit code after a closed output pipe, as in shells"""
SIGNAL_EXIT_BASE = 128
"""added to a signal's number in the exit code, as in shells"""
GRACE_SECONDS = 5.0
"""seconds in which further signals except Ctrl-C are ignored"""
REPEAT_SECONDS = 0.05
"""seconds after which a signal is sent again whose exception was raised in a destructor, which loses it"""


class StdoutError(Exception):
    """Standard output cannot be written; the message is the reason, empty for a closed pipe."""


@contextmanager
def protect_stdout() -> Iterator[None]:
    """Run the block with usable standard streams; raise `StdoutError` if standard output cannot be written."""
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
        raise StdoutError("" if isinstance(error, BrokenPipeError) else error.strerror) from error


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Raise `SystemExit` on SIGTERM and SIGHUP and `KeyboardInterrupt` on Ctrl-C; restore the handlers afterwards.

    The block ends with this exception, whatever error a library turns it into: an interrupted import, for example,
    causes other errors later. SIGTERM and SIGHUP are ignored for `GRACE_SECONDS` after a signal, while files are
    cleaned up. Ignored signals stay ignored, and outside the main thread nothing changes.
    """
    default = (signal.SIG_DFL, signal.default_int_handler)
    is_main = threading.current_thread() is threading.main_thread()
    handlers = {
        number: handler
        for number in STOP_SIGNALS
        if is_main and (handler := signal.getsignal(number)) in default
    }
    exceptions: list[BaseException] = []
    last_signal = 0
    default_hook = sys.unraisablehook
    ignore_until = 0.0

    def end(number: int, _: FrameType | None) -> None:
        nonlocal ignore_until, last_signal
        interrupted = number == signal.SIGINT
        if interrupted or time.monotonic() >= ignore_until:
            last_signal, ignore_until = number, time.monotonic() + GRACE_SECONDS
            exceptions.append(KeyboardInterrupt() if interrupted else SystemExit(SIGNAL_EXIT_BASE + number))
            raise exceptions[-1]

    def repeat(unraisable: sys.UnraisableHookArgs) -> None:
        nonlocal ignore_until
        if unraisable.exc_value not in exceptions:
            default_hook(unraisable)
            return
        ignore_until = 0.0
        timer = threading.Timer(
            REPEAT_SECONDS, signal.pthread_kill, (threading.main_thread().ident, last_signal)
        )
        timer.daemon = True
        timer.start()

    try:
        for number in handlers:
            signal.signal(number, end)
        if handlers and hasattr(signal, "pthread_kill"):  # not on Windows
            sys.unraisablehook = repeat
        yield
    except Exception as error:
        if not exceptions:
            raise
        raise exceptions[-1] from error
    finally:
        sys.unraisablehook = default_hook
        for number, handler in handlers.items():
            signal.signal(number, handler)
