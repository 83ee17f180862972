"""Files of a project: atomic writes and the lock of its folder."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from aotlab import InputError

LOCK = ".lock"
"""name of the lock file in a project folder"""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; rename it to ``path`` if the block ends without an error.

    Raises:
        InputError: the file cannot be written.
    """
    temporary = path.with_name(f".{os.getpid()}-{threading.get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); free space or choose another folder"
        ) from error
    finally:
        with suppress(OSError):  # the error of the block is more specific
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file as `atomic_path` does."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def lock_folder(folder: Path) -> BaseFileLock:
    """Create a folder if it is missing, check that it is writable, and lock it until the lock is released.

    Raises:
        InputError: it cannot be created or written, or another process holds the lock.
    """
    lock = FileLock(folder / LOCK, thread_local=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"{folder}: in use by another program; close it first") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{folder}: cannot be written ({reason}); choose another folder") from error
    return lock
