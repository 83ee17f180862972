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
"""exit status after Ctrl-C, as in shells"""
PIPE_CLOSED = 141
"""exit status after a closed output pipe, as in shells"""
SIGNAL_STATUS = 128
"""exit status after a signal, less the signal's number, as in shells"""
GRACE_SECONDS = 5.0
"""seconds in which further requests to end are ignored"""
REPEAT_SECONDS = 0.01
"""seconds after which a signal is sent again if Python ignored its exception"""


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
        with suppress(OSError, ValueError), open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())
        raise StdoutError("" if isinstance(error, BrokenPipeError) else error.strerror) from error


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Raise an exception on SIGTERM and SIGHUP, so that files are cleaned up and processes end.

    The block ends with this exception, or with Ctrl-C's, whatever error a library turns it into: an interrupted
    import, for example, causes other errors later. Python ignores exceptions in finalizers and callbacks of weak
    references: a signal that comes there is sent again. Ignored signals stay ignored; outside the main thread nothing
    is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    default = (signal.SIG_DFL, signal.default_int_handler)
    replaced = {each: handler for each in STOP_SIGNALS if (handler := signal.getsignal(each)) in default}
    raised: list[tuple[float, int, BaseException]] = []
    report = sys.unraisablehook

    def repeat(ignored: sys.UnraisableHookArgs) -> None:
        if raised and ignored.exc_value is raised[-1][-1]:
            _, number, _ = raised.pop()
            threading.Timer(REPEAT_SECONDS, os.kill, (os.getpid(), number)).start()
        else:
            report(ignored)

    def end(number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if number != signal.SIGINT and raised and now < raised[-1][0] + GRACE_SECONDS:
            return  # it is ending
        error = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(SIGNAL_STATUS + number)
        raised.append((now, number, error))
        raise error

    try:
        sys.unraisablehook = repeat
        for number in replaced:
            signal.signal(number, end)
        yield
    except Exception as error:
        if not raised:
            raise
        raise raised[-1][-1] from error
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)
        sys.unraisablehook = report
