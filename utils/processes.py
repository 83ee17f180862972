"""Worker processes that end with their parent, priorities of threads, and signals that stop long runs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

NICENESS = 5
"""niceness of helper threads above the others'; with much more, a busy machine would starve them"""

STOP_SIGNALS = [
    signal.Signals(number)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if (number := getattr(signal, name, None))
]


def lower_priority() -> None:
    """Lower the priority of the calling thread, and of those it starts, below the other threads'; only on Linux."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)


@contextmanager
def worker_pool(workers: int, module: str) -> Iterator[ProcessPoolExecutor]:
    """Yield a process pool; if the block fails, pending work is canceled.

    Where the system supports it, ``module`` is imported once for all workers.
    """
    import multiprocessing  # slow to import
    from concurrent.futures import ProcessPoolExecutor

    # not forks of this process, which could hang, as it has threads
    server = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if server else "spawn")
    if server:
        context.set_forkserver_preload([module])
    with ProcessPoolExecutor(workers, mp_context=context, initializer=exit_with_parent) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def exit_with_parent() -> None:
    """End this worker when its parent has ended, even if it was killed."""
    from multiprocessing import parent_process

    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class StopFlag(threading.Event):
    """Flag set by a signal."""

    signal_number: int = signal.SIGINT
    """number of the signal, if one has set it"""


@contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """Yield a flag that Ctrl-C, SIGTERM and SIGHUP set while the block runs; a second signal acts immediately.

    Ignored signals, such as SIGHUP under nohup, stay ignored. Outside the main thread the flag is never set.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    handlers = {
        number: signal.getsignal(number)
        for number in STOP_SIGNALS
        if signal.getsignal(number) is not signal.SIG_IGN
    }

    def request(number: int, _: FrameType | None) -> None:
        flag.signal_number = number
        flag.set()
        signal.signal(number, handlers[signal.Signals(number)])

    try:
        for number in handlers:
            signal.signal(number, request)
        yield flag
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def peak_resident_bytes() -> int | None:
    """Return the peak resident memory of this process in bytes; None if unknown (Windows)."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux reports KiB
