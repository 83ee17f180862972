"""Real system limits and special files, instead of simulated errors."""

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


NOBODY = 65534


@contextmanager
def drop_root() -> Iterator[None]:
    """Become the user nobody inside the block if this is root, who may read and write anything."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@contextmanager
def limit_file_size(size: int) -> Iterator[None]:
    """Limit files to ``size`` bytes inside the block; writing more fails (EFBIG), as without space on the disk."""
    resource = pytest.importorskip("resource", reason="this system has no limit on the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def count_comparisons(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Count comparisons of paths; return a function that returns their number."""
    count, compare = 0, PurePath.__eq__

    def compare_counted(self, other):
        nonlocal count
        count += 1
        return compare(self, other)

    monkeypatch.setattr(PurePath, "__eq__", compare_counted)
    return lambda: count
