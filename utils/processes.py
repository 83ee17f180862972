"""Worker processes that end with their parent, priorities of threads, and signals that stop long runs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

NICENESS = 5
"""Added niceness of helper threads; with much more, they would get no time on a busy machine."""

STOP_SIGNALS = [
    signal.Signals(number) for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None))
]


def lower_priority() -> None:
    """Lower the priority of the calling thread and of the threads that it starts; only on Linux."""
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


def peak_resident_bytes() -> int | None:
    """Return the peak resident memory of this process in bytes; None if unknown (Windows)."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux reports KiB
