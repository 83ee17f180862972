"""Limits, files and kills by the system that tests set up, instead of errors made up."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

import pytest


def make_pipe(path: Path) -> None:
    """Make a named pipe; skip the test on a system without them."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(path)


@contextmanager
def limit_file_size(size: int) -> Iterator[None]:
    """No file grows beyond ``size`` bytes inside the block: writing more fails as on a full disk (EFBIG)."""
    resource = pytest.importorskip("resource", reason="this system has no limit on the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def ends_in_process(work: Callable[..., None], *args: object, kill_after: float = 600.0) -> bool:
    """Run ``work`` in a process of its own, killed after some seconds; return whether it came to its end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__])
    process = context.Process(target=work, args=args)
    process.start()
    process.join(kill_after)
    if process.exitcode is None:
        process.kill()
        process.join()
        return False
    assert process.exitcode == 0
    return True


def count_comparisons(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return a function with the number of comparisons of two paths so far."""
    count, compare = 0, PurePath.__eq__

    def compare_counted(self, other):
        nonlocal count
        count += 1
        return compare(self, other)

    monkeypatch.setattr(PurePath, "__eq__", compare_counted)
    return lambda: count
