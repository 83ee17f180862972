"""Worker processes that end with the process that started them, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import BaseContext


@contextmanager
def worker_pool(workers: int, preload: Sequence[str] = ()) -> Iterator[ProcessPoolExecutor]:
    """Processes that take work. When the block ends with an error, what has not begun is cancelled.

    Args:
        workers: how many processes.
        preload: modules that they need, imported once where the system can do that.
    """
    pool = ProcessPoolExecutor(workers, mp_context=_fresh_processes(preload), initializer=end_with_parent)
    try:
        yield pool
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def end_with_parent() -> None:
    """In a worker: end when the process that started it has ended, even if it was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _fresh_processes(preload: Sequence[str]) -> BaseContext:
    """How processes start: as forks of a fresh one, where the system can do that.

    Forks of this process may hang where it has threads.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return context
