"""Repair of damaged projects: a log of every line that is still valid, and a new header."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import msgspec
from msgspec.structs import replace

from aotlab import InputError
from aotlab_studio.document.folder import (
    LOG_FILE,
    PROJECT_FILE,
    PROJECT_SUFFIX,
    DamagedHeaderError,
    locate_project,
    open_folder,
    read_header,
)
from aotlab_studio.document.log import Entry, Log, Move, Record, VersionRecord, decode_record, read_bytes
from aotlab_studio.files import write_bytes
from aotlab_studio.lock import FolderLock
from aotlab_studio.video import FrameStore

RECORD_START = re.compile(rb'(?=\{"type":"(?:edit|head|status|version)")')
TEXTS = re.compile(rb'"(?:title|status|author|time)":"((?:[^"\\]|\\.)+)"')
"""what people know of a record"""


def recover_project(path: Path, project: Path | None = None) -> list[str]:
    """Repair the log and the header of a project; return a sentence about each. Damaged files are kept beside them.

    Args:
        path: as in `locate_project`; a project whose header is damaged has to be beside its video.
        project: as in `locate_project`.

    Raises:
        InputError: no log, its video is missing, it is in use by another process, or a file cannot be read or written.
    """
    is_project = (path / LOG_FILE).is_file()
    folder = path if is_project else locate_project(path, project)[1]
    if not (folder / LOG_FILE).is_file():
        raise InputError(f"{folder}: not a project with edits; give the project to repair")
    header, damaged, frames = folder / PROJECT_FILE, False, None
    try:
        read_header(header)
    except DamagedHeaderError:  # or missing
        damaged = True
    if is_project and damaged:
        real = Path(os.path.realpath(folder))
        video = real.with_name(real.name.removesuffix(PROJECT_SUFFIX))
        if video == real or not video.exists():
            raise InputError(
                f"{header}: damaged, and no video {video.name} is beside its folder; give VIDEO and --project {folder}"
            )
        frames = FrameStore(video)
    lock = FolderLock(folder)
    try:
        sentences = [recover_log(folder / LOG_FILE)]
        if damaged and header.is_file():
            kept = keep_copy(header)
            header.unlink()
            sentences.append(
                f"{header}: made again for the video; give --levels again if it had any; {kept.name} is the old file"
            )
    finally:
        lock.release()
    if frames is not None:  # otherwise, opening the video makes it
        open_folder(folder, frames)[1].release()
    return sentences


def recover_log(path: Path) -> str:
    """Replace a damaged log by the records that it or its backup has; return a sentence about what was lost."""
    log = Log(path)
    if not log.problem:
        return f"{path}: is not damaged"
    damaged, backup = read_bytes(path), read_bytes(log.backup)
    found = [salvage(path, content) for content in (damaged, backup, backup + damaged[len(backup) :])]
    lines, lost = max(found, key=lambda each: len(each[0]))
    kept, content = keep_copy(path), b"".join(lines)
    if not content.startswith(backup):  # the next repair must not take records from it
        keep_copy(log.backup)
        log.backup.unlink()
    write_bytes(path, content)
    number = "no line" if not lost else "1 line" if len(lost) == 1 else f"{len(lost)} lines"
    return f"{path}: repaired; {'; '.join([f'{number} lost', *lost])}; {kept.name} is the old file"


def salvage(path: Path, content: bytes) -> tuple[list[bytes], list[str]]:
    """Return the lines of a log with all readable records of a damaged one, and what the lost lines say.

    Entries get new numbers. Later edits stay although one before them is lost, as they set whole values; where an undo
    or redo is lost, the next record leads to its entry.
    """
    log, lines, lost, gap = Log(path, b""), list[bytes](), list[str](), False
    numbers = {0: 0}
    """new number of each entry; of a lost one, the number of the entry before"""

    def keep(record: Record) -> None:
        log.apply(record)
        lines.append(msgspec.json.encode(record) + b"\n")

    for number, line, record in _read_lines(content):
        try:
            if isinstance(record, Entry):
                parent = numbers.setdefault(record.parent, log.head)
                if gap:
                    _move_to(log, parent, Move(parent, record.author, record.time), keep)
                keep(replace(record, number=len(log.entries) + 1, parent=log.head))
                numbers[record.number], gap = log.head, False
            elif isinstance(record, Move):
                head = numbers[record.head]
                if gap:
                    _move_to(log, head, record, keep)
                elif head != log.head:
                    keep(replace(record, head=head))
                gap = False
            elif isinstance(record, VersionRecord):
                keep(replace(record, entry=numbers[record.entry]))
            elif record is not None:
                keep(record)
            else:
                raise KeyError
        except KeyError:
            gap = True
            words = " · ".join(text.decode(errors="replace") for text in TEXTS.findall(line))
            lost.append(f"line {number} ({words or 'unreadable'})")
    return lines, lost


def _move_to(log: Log, head: int, move: Move, keep: Callable[[Record], None]) -> None:
    """Undo or redo, with copies of a move, until an entry is the head; do nothing if neither leads to it."""
    while head in log.undone:
        keep(replace(move, head=log.undone[-1]))
    while head != log.head and head in (0, *log.list_reachable()):
        keep(replace(move, head=log.entries[log.head].parent))


def _read_lines(content: bytes) -> Iterator[tuple[int, bytes, Record | None]]:
    """Yield number, text and record of each line, None if it is damaged; a lost line break divides two records."""
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        whole = _decode(line)
        pieces = [line] if whole is not None else [each for each in RECORD_START.split(line) if each.strip()]
        for piece in pieces:
            yield number, piece, whole or _decode(piece[: piece.rfind(b"}") + 1])


def _decode(line: bytes) -> Record | None:
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return decode_record(line)
    return None


def keep_copy(path: Path) -> Path:
    """Copy a damaged file to a free name beside it, and return that."""
    paths = (path.with_name(f"{path.name}.damaged-{number}") for number in count(1))
    free = next(each for each in paths if not os.path.lexists(each))
    write_bytes(free, read_bytes(path))
    return free
