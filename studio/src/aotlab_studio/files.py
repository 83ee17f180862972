"""Files of a project: atomic writes, files that replace others together."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from aotlab import InputError, sdk

Content = TypeVar("Content")
STAGED = ".aotlab-new"
"""Name of the folder for files of an export that are being written."""
COMPLETE = ".aotlab-complete"
"""Name of the folder with the files of an export that replace the last ones."""
OLD = ".aotlab-old"
"""Name of the folder for files that are replaced."""


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file by way of `atomic_path`."""
    with sdk.atomic_path(path) as temporary:
        temporary.write_bytes(content)


def encode_json(value: Any, indent: int | None = None) -> bytes:
    """Return JSON in ASCII, which can hold undecodable file names too; without ``indent``, in one line."""
    separators = (",", ":") if indent is None else None
    return json.dumps(msgspec.to_builtins(value), indent=indent, separators=separators).encode()


def write_json(path: Path, value: Any, indent: int | None = None) -> None:
    """Replace a file by JSON; see `encode_json` and `write_bytes`."""
    write_bytes(path, encode_json(value, indent) + b"\n")


def list_files(folder: Path) -> Iterator[str]:
    """Yield the files and links in a folder and its folders, relative to it, except system files."""
    for path in folder.rglob("*"):
        if path.name not in sdk.SYSTEM_FILES and (path.is_symlink() or not path.is_dir()):
            yield path.relative_to(folder).as_posix()


def read_json(path: Path, kind: type[Content]) -> Content:
    """Return the JSON of a file that this program has written; ``kind()`` if it is missing or damaged."""
    try:
        return msgspec.convert(json.loads(path.read_bytes()), kind, str_keys=True)
    except (OSError, ValueError, RecursionError):
        return kind()


def stat_file(path: Path) -> tuple[int, int]:
    """Return time and size of a file, which differ after a change; zeros if it is missing."""
    with suppress(OSError):
        stat = path.stat()
        return stat.st_mtime_ns, stat.st_size
    return 0, 0


class ExportRecord(Struct):
    """Record of an export."""

    files: set[str] = set()
    digest: str = ""
    """Digest of the exported masks."""
    objects: str = ""
    """Digest of the exported objects."""


def find_roots(files: Iterable[str]) -> set[str]:
    """Return the files, and the folders of files in folders, by their paths."""
    return {file.partition("/")[0] for file in files}


@contextmanager
def make_staging(folder: Path) -> Iterator[Path]:
    """Yield a new folder, in place of one that a killed program left; remove it afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def stage_files(folder: Path, record_name: str) -> Iterator[Path]:
    """Yield a temporary folder for the files of an export, inside its folder, which is created; see `replace_files`.

    An error of the system in the block becomes an `InputError`.
    """
    try:
        with sdk.writing(folder):
            folder.mkdir(exist_ok=True)
            clean_up(folder, record_name)
            with make_staging(folder / STAGED) as staging:
                yield staging
    finally:
        with suppress(OSError):  # not empty
            folder.rmdir()


def replace_files(staging: Path, record_name: str) -> None:
    """Replace the last export in the parent folder by the files of `stage_files`, which include its `ExportRecord`.

    After a kill or an error, `clean_up` does the rest. Raises `InputError` if a file cannot be moved.
    """
    staging.rename(staging.parent / COMPLETE)
    clean_up(staging.parent, record_name)


def clean_up(folder: Path, record_name: str) -> None:
    """Finish an export that was killed while its files were moved; remove one that was killed before.

    Nobody else may write to the folder meanwhile. Raises `InputError` if a file cannot be moved.
    """
    shutil.rmtree(folder / STAGED, ignore_errors=True)
    complete = folder / COMPLETE
    if (complete / record_name).is_file() and not complete.is_symlink():  # not all is moved
        old, new = (
            find_roots(read_json(path / record_name, ExportRecord).files) for path in (folder, complete)
        )
        move_entries(complete, folder, removed=(old - new).intersection(os.listdir(folder)), last=record_name)
    shutil.rmtree(complete, ignore_errors=True)


def move_entries(source: Path, folder: Path, *, removed: Iterable[str] = (), last: str = "") -> None:
    """Move all files and folders of ``source`` into another folder; the one named ``last`` after all others.

    Those that they replace, and those named in ``removed``, go to ``source``. Raises `InputError` if a file cannot be
    moved. The call can be repeated, also after a kill.
    """
    old = source / OLD
    old.mkdir(exist_ok=True)
    names = sorted({*os.listdir(source)} - {OLD}, key=lambda name: name == last)
    moves = [(folder / name, old / name) for name in removed]
    for name in names:
        moves += [(folder / name, old / name), (source / name, folder / name)]
    for path, target in moves:
        try:
            if os.path.lexists(path):
                path.rename(target)
        except OSError as error:
            problem = f"{path}: cannot be moved ({error.strerror})"
            raise InputError(f"{problem}; close programs that use it") from error
