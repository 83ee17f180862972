"""Signals that stop long runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOP_SIGNALS = [
    signal.Signals(number) for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None))
]


class StopFlag(threading.Event):
    """Flag set by a signal."""

    signal_number: int = signal.SIGINT
    """Number of the signal, if one has set it."""


@contextmanager
def handle_stop_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[dict[int, Any]]:
    """Call ``handler`` on Ctrl-C, SIGTERM and SIGHUP while the block runs; yield the earlier handlers by signal.

    Ignored signals, such as SIGHUP under nohup, stay ignored. Outside the main thread nothing changes.
    """
    is_main = threading.current_thread() is threading.main_thread()
    handlers: dict[int, Any] = {
        number: earlier
        for number in STOP_SIGNALS
        if is_main and (earlier := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }
    try:
        for number in handlers:
            signal.signal(number, handler)
        yield handlers
    finally:
        for number, earlier in handlers.items():
            signal.signal(number, earlier)


@contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """Yield a flag that the signals of `handle_stop_signals` set; a second signal acts immediately."""
    flag = StopFlag()

    def request(number: int, _: FrameType | None) -> None:
        flag.signal_number = number
        flag.set()
        signal.signal(number, handlers[number])

    with handle_stop_signals(request) as handlers:
        yield flag
