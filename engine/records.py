"""Records of the finished parts of a run, with which it resumes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from aotlab.utils.own_files import Kind, read_usable, write_own

RECORD = Kind("record of a run", 1, "what it stands for is run again")

Record = TypeVar("Record")


def save_record(path: Path, record: Any) -> None:
    """Write a record, a dataclass, whose results are all written; raises `InputError` if it cannot be written."""
    write_own(path, RECORD, asdict(record))


def load_record(path: Path, kind: type[Record]) -> Record | None:
    """Return the record of a finished part; None for a missing one, and for a damaged one with a log message."""
    return read_usable(path, RECORD, lambda content: kind(**content))
