"""File locks, staging folders, and cleanup after killed processes."""

from __future__ import annotations

import errno
import glob
import logging
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aotlab.utils.errors import InputError
from aotlab.utils.files import make_folder, remove, require_writable, temporary_name, writing

LOCK_SUFFIX = ".lock"
"""Name of the lock file in an output folder."""
POLL_SECONDS = 0.01
UNSUPPORTED_ERRNOS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)
"""Errors of file systems without locks, on which nothing is locked."""
log = logging.getLogger(__name__)


class InUseError(InputError):
    """Another process holds a lock."""


@contextmanager
def locked(path: Path, timeout: float | None = None, *, subject: Path | None = None) -> Iterator[None]:
    """Run the block under an exclusive lock on ``path``.

    The system releases the lock of a process that has ended. Raises `InUseError` if the file is still locked after
    ``timeout``, and `InputError` if it cannot be created.

    Args:
        path: lock file, which names its holder and is removed afterwards; links are refused.
        timeout: seconds to wait; None: no limit.
        subject: what is locked, for messages; None: the lock file.
    """
    from filelock import FileLock, Timeout  # takes 50 ms

    lock = FileLock(path, thread_local=False)  # another thread may release it
    with writing(path):
        try:
            lock.acquire(timeout=-1 if timeout is None else timeout, poll_interval=POLL_SECONDS)
        except Timeout:
            holder = ""
            with suppress(OSError):
                holder = path.read_text(encoding="utf-8", errors="replace")[:200]
            raise InUseError(
                f"{subject or path}: in use by {holder or 'another process'}; wait until it has ended"
            ) from None
        except OSError as error:
            if error.errno not in UNSUPPORTED_ERRNOS:
                raise
            log.warning("%s: not locked, as its file system has no locks; start one run at a time", subject or path)
    with suppress(OSError):
        path.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)  # removed while held; waiting processes then open a new file
        lock.release()


@contextmanager
def locked_output(folder: Path) -> Iterator[None]:
    """Lock an output folder for a run; create it and its parents, and remove empty ones afterwards.

    Raises `InUseError` if another process has locked it, and `InputError` if it cannot be written.
    """
    created = [path for path in (folder, *require_writable(folder).parents) if not path.exists()]
    make_folder(folder)
    try:
        with locked(folder / LOCK_SUFFIX, 0, subject=folder):
            yield
    finally:
        with suppress(OSError):  # it holds results
            for path in created:
                path.rmdir()


@contextmanager
def staging_folder(folder: Path, *, first: str = "") -> Iterator[Path]:
    """Yield a temporary folder in one that the caller has locked; if the block succeeds, its contents replace the rest.

    ``first``: name of the file that is moved first. Hidden files stay. A folder that is empty in the end is removed.
    """
    remove_leftovers(folder, folder.name)
    temporary = make_folder(folder / temporary_name(folder))
    try:
        with writing(folder):
            yield temporary
            names = sorted(os.listdir(temporary), key=lambda name: name != first)
            for path in folder.glob("[!.]*"):
                if path.is_dir() or path.name not in names:
                    remove(path)
            for name in names:
                os.replace(temporary / name, folder / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with suppress(OSError):  # it holds files
            folder.rmdir()


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove temporary files of killed programs from a folder the caller has locked; ``name``: of one file only."""
    stem, suffix = ("*", "*") if name is None else map(glob.escape, os.path.splitext(name))
    for path in folder.glob(f".{stem}.{'[0-9a-f]' * 8}.part{suffix}"):  # as `temporary_name` forms them
        log.info("%s: removed: left by a killed process", path)
        remove(path)
