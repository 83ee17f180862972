"""Worker processes that end with their parent, and priorities of threads."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress

GIVE_WAY = 5
"""niceness of helper threads above the others'; with much more, a busy machine would starve them"""


def give_way() -> None:
    """Lower the priority of the calling thread, and of those it starts, below the other threads'; only on Linux."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + GIVE_WAY)


@contextmanager
def worker_pool(workers: int, module: str) -> Iterator[ProcessPoolExecutor]:
    """Yield a process pool; if the block fails, pending work is cancelled.

    Args:
        workers: number of processes.
        module: name of a module to import once for all workers, if the system supports it.
    """
    # not forks of this process, which could hang, as it has threads
    server = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if server else "spawn")
    if server:
        context.set_forkserver_preload([module])
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent)
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


def peak_resident_bytes() -> int | None:
    """Return the peak resident memory of this process in bytes; None if unknown (Windows)."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux reports KiB
