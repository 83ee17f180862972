"""Waiting until no other process works on the same files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aotlab.utils.errors import InputError

PAUSE = 0.01
"""seconds between two attempts"""


@contextmanager
def locked(path: Path, patience: float | None = None) -> Iterator[None]:
    """Run the block while no other process or thread runs one of the same path.

    Systems and file systems without such locks do not wait.

    Args:
        path: a folder, or a file, which is made if it is missing, stays empty, and is not followed where it is a link.
        patience: seconds to wait at most; None: as long as it takes.

    Raises:
        InputError: the file cannot be made or opened, or another process has had it for longer than ``patience``.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    try:
        handle = os.open(path, flags, 0o644)
    except OSError as error:
        raise InputError(f"{path}: cannot be made ({error.strerror}); choose another folder") from error
    deadline = None if patience is None else time.monotonic() + patience
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if deadline is None else fcntl.LOCK_NB))
            except BlockingIOError:
                if deadline is not None and time.monotonic() > deadline:
                    raise InputError(f"{path}: another process works on it; try again later") from None
                time.sleep(PAUSE)
                continue
            except OSError:
                pass  # this file system has no locks
            break
        yield
    finally:
        os.close(handle)
