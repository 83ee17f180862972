"""Files of a project: atomic writes, files that replace others together."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from aotlab import InputError, sdk

Content = TypeVar("Content")
MOVE_LOCK = ".aotlab-replaced.lock"
"""name of the lock file while files are replaced"""
STAGED = ".aotlab-new-"
"""prefix of folders with files that are being written"""
REPLACED = ".aotlab-replaced-"
"""prefix of folders with files being replaced"""
REMOVED = ".aotlab-removed-"
"""prefix of folders with files to delete"""


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
    """Yield the files and links in a folder and its folders, relative to it."""
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_dir():
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
    """Record of an export: its files, and digests of the exported masks and objects."""

    files: set[str] = set()
    digest: str = ""
    objects: str = ""


def clean_up(folder: Path, record_name: str) -> None:
    """Finish an export that was killed if its new record was moved, else undo it; see `move_entries`.

    Nobody else may write to the folder meanwhile.
    """
    is_moving = any(folder.glob(f"{REPLACED}*"))
    for staged in folder.glob(f"{STAGED}*"):
        if is_moving and not (staged / record_name).exists():
            move_entries(staged, folder)
        with suppress(OSError):  # in use
            staged.rename(folder / staged.name.replace(STAGED, REMOVED, 1))  # at once, unlike its files
    restore_replaced(folder)
    _delete_removed(folder)


@contextmanager
def stage_files(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder inside another one, which is created, for files that `move_entries` moves there.

    An error of the system in the block becomes an `InputError`.
    """
    try:
        with sdk.writing(folder):
            folder.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=STAGED) as name:
                yield Path(name)
    finally:
        with suppress(OSError):  # not empty
            folder.rmdir()


def restore_replaced(folder: Path) -> None:
    """Move back the files that a killed call of `move_entries` has set aside but not replaced."""
    if not any(folder.glob(f"{REPLACED}*")):
        return
    with sdk.locked(folder / MOVE_LOCK):
        for replaced in folder.glob(f"{REPLACED}*"):
            for path in list(replaced.iterdir()):
                if not os.path.lexists(folder / path.name):
                    path.rename(folder / path.name)
            with suppress(OSError):  # holds files that are replaced
                replaced.rmdir()


def read_exported(folder: Path, record_name: str) -> set[str]:
    """Return the files of the last export, and those of the ones before that killed exports have replaced in part."""
    records = [folder / record_name, *folder.glob(f"{REPLACED}*/{record_name}")]
    return set().union(*(read_json(path, ExportRecord).files for path in records))


def move_entries(source: Path, folder: Path, removed: Collection[str] = (), record_name: str = "") -> None:
    """Move all files and folders of ``source`` into another folder, where they replace files of the same names.

    Those are set aside first, in a hidden folder, which stays until the next call if the program is killed before all
    are moved.

    Args:
        removed: names of other files and folders to remove.
        record_name: file that names the others, which is missing as briefly as possible.

    Raises:
        InputError: that fails; everything in ``folder`` is as before.
    """
    names = sorted(os.listdir(source), key=lambda name: (name != record_name, name))
    old_names = [name for name in {*removed, *names} if os.path.lexists(folder / name)]
    old_names.sort(key=lambda name: (name == record_name, name))
    with sdk.locked(folder / MOVE_LOCK):
        replaced = Path(tempfile.mkdtemp(dir=folder, prefix=REPLACED))
        moves = [(folder / name, replaced / name) for name in old_names]
        moves += [(source / name, folder / name) for name in names]
        try:
            for old, new in moves:
                old.rename(new)
        except BaseException as error:  # Ctrl-C too
            for moved, place in reversed(moves):
                if os.path.lexists(place) and not os.path.lexists(moved):
                    place.rename(moved)
            replaced.rmdir()
            if not isinstance(error, OSError):
                raise
            problem = f"{old}: cannot be moved ({error.strerror})"
            raise InputError(f"{problem}; close programs that use it") from error
        for leftover in folder.glob(f"{REPLACED}*"):  # everything is in place
            leftover.rename(folder / leftover.name.replace(REPLACED, REMOVED, 1))
        _delete_removed(folder)


def _delete_removed(folder: Path) -> None:
    for leftover in folder.glob(f"{REMOVED}*"):
        shutil.rmtree(leftover, ignore_errors=True)
