"""Repair of damaged logs from their backups."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

from aotlab import InputError
from aotlab_studio.document.folder import LOG_FILE, PROJECT_FILE, locate_project, read_header
from aotlab_studio.document.log import Log, read_bytes
from aotlab_studio.files import write_bytes
from aotlab_studio.lock import FolderLock


def recover_project(path: Path, project: Path | None = None) -> str:
    """Repair the log of a project; return a sentence about what was lost. The damaged log is kept beside it.

    Args:
        path: a project, or as in `locate_project`.
        project: as in `locate_project`.

    Raises:
        InputError: no log, it is in use by another process, of another version, or cannot be read or written.
    """
    folder = path if (path / LOG_FILE).is_file() else locate_project(path, project)[1]
    if not (folder / LOG_FILE).is_file():
        raise InputError(f"{folder}: not a project with edits; give the project to repair")
    if (folder / PROJECT_FILE).is_file():
        read_header(folder / PROJECT_FILE)
    lock = FolderLock(folder)
    try:
        return _recover_log(folder / LOG_FILE)
    finally:
        lock.release()


def _recover_log(path: Path) -> str:
    """Replace a damaged log by the most lines that it and its backup have.

    Lines after a damaged one that the backup lacks too are lost, as they depend on it.
    """
    log = Log(path)
    if not log.problem:
        return f"{path}: is not damaged"
    damaged, backup = read_bytes(path), read_bytes(log.backup)
    candidates = [damaged, backup, backup + damaged[len(backup) :]]
    content = max((each[: Log(path, each).end] for each in candidates), key=len)
    names = (f"{path.name}.damaged-{number}" for number in count(1))
    kept = next(path.with_name(name) for name in names if not os.path.lexists(path.with_name(name)))
    write_bytes(kept, damaged)
    write_bytes(path, content)
    lost = max(0, damaged.count(b"\n") - content.count(b"\n"))
    lines = "no line" if not lost else "1 line" if lost == 1 else f"the last {lost} lines"
    return f"{path}: repaired; {lines} lost; {kept.name} is the old file"
