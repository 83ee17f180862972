"""Ending a long run between two steps instead of within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = [
    signal.Signals(number)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if (number := getattr(signal, name, None))
]
"""signals that ask a program to end, as far as this system has them"""


class StopFlag(threading.Event):
    """A flag that a signal set."""

    number = int(signal.SIGINT)
    """the signal"""


@contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """Yield a flag that Ctrl-C, SIGTERM and SIGHUP set while the block runs; a second one acts at once, as always.

    The flags of blocks around this one are set too.

    A signal that is ignored, as SIGHUP is under nohup, stays ignored.

    Outside the main thread, where signals cannot be caught, the flag is never set.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before = {
        number: signal.getsignal(number)
        for number in ENDING
        if signal.getsignal(number) is not signal.SIG_IGN
    }

    def request(number: int, frame: FrameType | None) -> None:
        flag.number = number
        flag.set()
        outer = before[signal.Signals(number)]
        signal.signal(number, outer)
        if callable(outer) and outer.__qualname__ == request.__qualname__:
            outer(number, frame)

    try:
        for number in before:
            signal.signal(number, request)
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
