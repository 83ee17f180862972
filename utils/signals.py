"""Stopping of long runs between two steps."""

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
"""signals that request termination, if the system has them"""


class StopFlag(threading.Event):
    """Flag set by a signal."""

    number = int(signal.SIGINT)
    """number of the signal"""


@contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """Yield a flag that Ctrl-C, SIGTERM and SIGHUP set while the block runs; a second signal acts immediately.

    The flags of enclosing blocks are set too. Ignored signals, such as SIGHUP under nohup, stay ignored. Outside the
    main thread the flag is never set.
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
