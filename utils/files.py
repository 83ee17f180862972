"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aotlab.utils.errors import InputError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; rename it to ``path`` if the block ends without an error.

    The temporary name keeps the suffix, so that writers which look at it choose the right format.

    Raises:
        InputError: the folder cannot be made or written.
    """
    folder = make_folder(path.parent)
    temporary = folder / f".{path.stem}.{os.getpid()}.part{path.suffix}"
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); free space or choose another folder"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> Path:
    """Make ``folder`` and its parents; return it.

    Raises:
        InputError: it cannot be made, or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot make this folder ({error.strerror}); choose another --output"
        ) from error
    return folder


def require_writable(folder: Path) -> Path:
    """Make ``folder`` and prove that a file can be written there, before long work starts.

    Raises:
        InputError: it cannot be made or written.
    """
    make_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise InputError(
            f"{folder}: cannot write here ({error.strerror}); choose another --output"
        ) from error
