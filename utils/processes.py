"""Worker processes that end with their parent, and priorities of threads."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.context import BaseContext

GIVE_WAY = 5
"""niceness of helper threads above the others'; with much more, a busy machine would starve them"""


def give_way() -> None:
    """Lower the priority of the calling thread, and of those it starts, below the other threads'; only on Linux."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + GIVE_WAY)


@contextmanager
def worker_pool(workers: int, preload: Sequence[str] = ()) -> Iterator[ProcessPoolExecutor]:
    """Yield a process pool; if the block fails, pending work is cancelled.

    Args:
        preload: modules to import once for all workers, if the system supports it.
    """
    pool = ProcessPoolExecutor(workers, mp_context=_fresh_processes(preload), initializer=end_with_parent)
    try:
        yield pool
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def end_with_parent() -> None:
    """End this worker when its parent has ended, even if it was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _fresh_processes(preload: Sequence[str]) -> BaseContext:
    """Return the start method: forkserver if available, else spawn.

    Forking this process could hang, as it has threads.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return context


def peak_resident_bytes() -> int | None:
    """Return the peak resident memory of this process in bytes; None if unknown (Windows)."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux reports KiB
