"""Standard streams, which may be closed or full, and signals that request termination."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from types import FrameType
from typing import IO, Any

from aotlab.utils.processes import ENDING

PIPE_CLOSED = 141
"""exit status after a closed output pipe, as in shells"""
BY_SIGNAL = 128
"""exit status after a signal, less the signal's number, as in shells"""
GRACE = 5.0
"""seconds in which further requests to end are ignored"""


class OutputLost(Exception):  # noqa: N818
    """Standard output cannot be written; the message is the reason, empty for a closed pipe."""


@contextmanager
def surroundings() -> Iterator[None]:
    """Run the block with usable standard streams and orderly ends on signals; raises `OutputLost` if stdout is lost."""
    _open_closed_streams()
    output, errors = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nothing:
        sys.stdout = _Stream(output or nothing, partial(_lost, output or nothing))  # type: ignore[assignment]
        sys.stderr = _Stream(errors or nothing, partial(suppress, OSError))  # type: ignore[assignment]
        try:
            with _ended_in_order():
                yield
                sys.stdout.flush()
        finally:
            sys.stdout, sys.stderr = output, errors


def _open_closed_streams() -> None:
    """Open closed standard descriptors, so that no other file gets their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Raise an exception on SIGTERM and SIGHUP, so that files are cleaned up and processes end.

    The block ends with this exception, or that of Ctrl-C, whatever error a library turns it into: an interrupted
    import, for example, causes other errors later. Ignored signals stay ignored; outside the main thread nothing is
    changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING}
    taken = [number for number in ENDING if before[number] in (signal.SIG_DFL, signal.default_int_handler)]
    asked: list[tuple[float, BaseException]] = []

    def end(number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if number != signal.SIGINT and asked and now < asked[-1][0] + GRACE:
            return  # it is ending
        how = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(BY_SIGNAL + number)
        asked.append((now, how))
        raise how

    try:
        for number in taken:
            signal.signal(number, end)
        yield
    except Exception as error:
        if not asked:
            raise
        raise asked[-1][1] from error
    finally:
        for number in taken:
            signal.signal(number, before[number])


class _Stream:
    """Standard stream; ``guard`` returns a context that handles its errors."""

    def __init__(self, stream: IO[str], guard: Callable[[], AbstractContextManager[None]]) -> None:
        self._stream, self._guard = stream, guard

    def write(self, text: str) -> int:
        """Write text."""
        with self._guard():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        with self._guard():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _lost(output: IO[str]) -> Iterator[None]:
    """Turn an error of standard output into `OutputLost`."""
    try:
        yield
    except OSError as error:
        # The interpreter flushes once more when it ends.
        with suppress(OSError, ValueError), open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), output.fileno())
        raise OutputLost("" if isinstance(error, BrokenPipeError) else error.strerror) from error
