"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from aotlab.utils.errors import InputError

if TYPE_CHECKING:
    from typing_extensions import Buffer


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


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """As `atomic_path`, an open binary file.

    Raises:
        InputError: the folder cannot be made or written, or the file not to its end.
    """
    with atomic_path(path) as temporary, binary_file(temporary) as file:
        yield file


@contextmanager
def binary_file(path: Path) -> Iterator[BinaryIO]:
    """A new file, for writers that hide the reason when the disk is full.

    Raises:
        OSError: it cannot be written to its end, whatever error its writer made of that.
    """
    file = _ObservedFile(io.FileIO(path, "w"))
    try:
        with file:
            yield file
    except Exception as error:
        if file.failure is not None:
            raise file.failure from error
        raise


class _ObservedFile(io.BufferedWriter):
    """A binary file that remembers why it could not be written: PyTorch's writer raises an error of its own."""

    failure: OSError | None = None

    def write(self, content: Buffer, /) -> int:
        """Write bytes; an error is remembered and raised."""
        try:
            return super().write(content)
        except OSError as error:
            self.failure = error
            raise

    def flush(self) -> None:
        """Write what is buffered; an error is remembered and raised."""
        try:
            super().flush()
        except OSError as error:
            self.failure = error
            raise


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
