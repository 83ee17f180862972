"""JSON files, and exports whose files replace those of the last export together.

An export writes all files to the folder `STAGED`, renames it to `UNMOVED`, and then moves the files to their
places, the record of the export last. Until then, `internal.read_record` refuses the folder. If the export is killed
before the renaming, `recover_export` removes the folder; after it, it moves the rest.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import msgspec
from msgspec import Struct

from aotlab import InputError
from aotlab.utils.files import write_json as write_plain_json
from aotlab.utils.files import writing
from aotlab.utils.run_folder import EXPORT_RECORD, UNMOVED

Content = TypeVar("Content")
STAGED = ".aotlab-new.part"
"""Name of the folder to which an export writes its files. It counts as a temporary file of aotlab."""
OLD = ".aotlab-old"
"""Name of the folder for files that are replaced."""


def encode_json(value: Any) -> bytes:
    """Return JSON as one line in ASCII, so that file names need not be UTF-8."""
    return json.dumps(msgspec.to_builtins(value), separators=(",", ":")).encode()


def write_json(path: Path, value: Any, indent: int | None = None) -> None:
    """Write a JSON file; it appears only once it is complete."""
    write_plain_json(path, msgspec.to_builtins(value), indent)


def read_json(path: Path, kind: type[Content]) -> Content:
    """Return the JSON of a file that this program has written; ``kind()`` if it is missing or damaged."""
    try:
        return msgspec.convert(json.loads(path.read_bytes()), kind, str_keys=True)
    except (OSError, ValueError, RecursionError):
        return kind()


class ExportRecord(Struct):
    """Record of an export, which is one of its files."""

    files: list[str] = []
    edit: int = 0
    """Step of the log that was exported."""
    status: str = ""
    outdated: list[tuple[int, int]] = []
    """First and last frame of each run of outdated frames."""
    models: list[dict[str, Any]] = []
    digest: str = ""
    """`Snapshot.content_digest` of the exported masks and objects."""
    time: str = ""
    removed: list[str] = []
    """Names of further files and folders that the export removes."""
    source_digest: str = ""
    """`digest_output` of the results whose masks are corrected; empty for other exports."""


def parse_xml(content: bytes) -> Element:
    """Return the root of XML; raise `ValueError` for other content."""
    try:
        return ElementTree.fromstring(content)  # expat limits the expansion of entities
    except (ElementTree.ParseError, LookupError) as error:  # of an unknown encoding
        raise ValueError(str(error)) from error


def describe_files(paths: Iterable[Path]) -> tuple[tuple[int, ...], ...]:
    """Return the state of files, to notice changes; empty for a missing one."""
    states: list[tuple[int, ...]] = []
    for path in paths:
        try:
            status = path.stat()
            states.append((status.st_mtime_ns, status.st_size, status.st_ino))
        except OSError:
            states.append(())
    return tuple(states)


def top_level_names(files: Iterable[str]) -> set[str]:
    """Return the first part of each path: a file, or the folder that contains it."""
    return {file.partition("/")[0] for file in files}


@contextmanager
def make_staging(folder: Path) -> Iterator[Path]:
    """Yield a new folder and remove it afterwards; a folder that a killed program left is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def stage_files(folder: Path) -> Iterator[Path]:
    """Yield a folder for an export to ``folder``, which is created; after the block, its files replace the last export.

    Raises `InputError` for a system error, and if a file cannot be moved.
    """
    try:
        with writing(folder):
            folder.mkdir(exist_ok=True)
            recover_export(folder)
            with make_staging(folder / STAGED) as staging:
                yield staging
                staging.rename(folder / UNMOVED)
            recover_export(folder)
    finally:
        with suppress(OSError):  # not empty
            folder.rmdir()


def recover_export(folder: Path) -> None:
    """Finish or remove an export that was killed. The caller holds the lock; raises `InputError` as `move_entries`."""
    shutil.rmtree(folder / STAGED, ignore_errors=True)
    unmoved = folder / UNMOVED
    if (unmoved / EXPORT_RECORD).is_file() and not unmoved.is_symlink():  # not all is moved
        before, record = (read_json(path / EXPORT_RECORD, ExportRecord) for path in (folder, unmoved))
        removed = {*(top_level_names(before.files) - top_level_names(record.files)), *record.removed}
        removed.intersection_update(os.listdir(folder))
        move_entries(unmoved, folder, removed=removed, last=EXPORT_RECORD)
    shutil.rmtree(unmoved, ignore_errors=True)


def move_entries(source: Path, folder: Path, *, removed: Iterable[str] = (), last: str = "") -> None:
    """Move all files and folders of ``source`` to ``folder``, the one named ``last`` after all others.

    Folders that they replace, and entries named in ``removed``, are moved to ``source``. The call can be repeated after
    a kill. Raises `InputError` if a file cannot be moved.
    """
    old = source / OLD
    if old.is_symlink():  # nothing is moved to another folder
        old.unlink()
    old.mkdir(exist_ok=True)
    names, moves = {*os.listdir(source)} - {OLD}, []
    for name in sorted(names.union(removed), key=lambda name: (name == last, name)):
        if name not in names or (source / name).is_dir() or (folder / name).is_dir():
            moves.append((folder / name, old / name))
        if name in names:
            moves.append((source / name, folder / name))
    for path, target in moves:
        try:
            if os.path.lexists(path):
                path.replace(target)
        except OSError as error:
            raise InputError(f"{path}: cannot be moved ({error.strerror}); close programs that use it") from error
