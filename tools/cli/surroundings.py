"""What surrounds a program: its standard streams, which may be closed or full, and signals that ask it to end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO, Any

from aotlab.utils.signals import ENDING

PIPE_CLOSED = 141
"""exit status when whoever read the output has gone, as shells have it"""
BY_SIGNAL = 128
"""exit status of a program that a signal ended, less the signal's number, as shells have it"""
GRACE = 5.0
"""seconds in which a program that was asked to end passes over that it is asked again"""


class OutputLost(Exception):  # noqa: N818
    """Standard output cannot be written; the message says why, and is empty where nobody reads it any more."""


@contextmanager
def surroundings() -> Iterator[None]:
    """Standard streams that are there, a stderr that may be lost, and signals that end the block in order.

    Raises:
        OutputLost: while the block prints, or of what it printed.
    """
    _open_closed_streams()
    output, errors = sys.stdout, sys.stderr
    if output is not None:
        sys.stdout = _Output(output)  # type: ignore[assignment]
    if errors is not None:
        sys.stderr = _Errors(errors)  # type: ignore[assignment]
    try:
        with _ended_in_order():
            yield
            if sys.stdout is not None:
                sys.stdout.flush()
    finally:
        sys.stdout, sys.stderr = output, errors


def _open_closed_streams() -> None:
    """Open what is closed of the first three descriptors: the next file would get its number, and be taken for it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as an exception, so that what it began is undone and its processes end.

    Whatever error a library makes of that exception, or of Ctrl-C, the block ends with the exception: a module whose
    import was cut short, for one, has other errors later. Signals that are ignored stay ignored; outside the main
    thread nothing is changed.
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
    """A standard stream; `_try` decides what its errors mean."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], object]) -> None:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Errors(_Stream):
    """A stream whose loss ends no work: stderr on a full disk, or behind a pipe that is closed."""

    def _try(self, action: Callable[[], object]) -> None:
        with suppress(OSError):
            action()


class _Output(_Stream):
    """The stream of results, whose loss is an error of its own."""

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            # The interpreter flushes once more when it ends.
            with suppress(OSError, ValueError), open(os.devnull, "wb") as nothing:
                os.dup2(nothing.fileno(), self._stream.fileno())
            raise OutputLost("" if isinstance(error, BrokenPipeError) else error.strerror) from error
