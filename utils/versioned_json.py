"""Files of this project: written with kind, version and digest, and checked when they are read."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from aotlab.utils.errors import InputError
from aotlab.utils.files import file_mode, is_file, refuse_constant, write_text

MAX_BYTES = 64 * 2**20
"""largest size of a JSON file in bytes"""
SEAL = ("kind", "version", "digest")
log = logging.getLogger(__name__)

Made = TypeVar("Made")


class Kind(NamedTuple):
    """Kind of a file written and read by this project."""

    name: str
    """name in messages, such as "job record" """
    version: int
    remedy: str
    """remedy in messages, such as "track the video again" """


RECORD = Kind("record of a run", 1, "that step will be rerun")
"""finished part of a run, with which it resumes"""


@contextmanager
def reading_own(path: Path | str, kind: Kind) -> Iterator[None]:
    """Turn any error of the block, which reads such a file, into one sentence.

    Raises:
        InputError: the block failed; names ``path``, reason and remedy.
    """
    try:
        yield
    except Exception as error:  # damaged files cause errors of any kind
        if isinstance(error, InputError) and str(error).startswith(f"{path}:"):
            raise
        reason = (str(error).splitlines() or [""])[0][:200]
        reason = reason if isinstance(error, ValueError) and reason else f"{type(error).__name__}: {reason}"
        raise InputError(f"{path}: not a usable {kind.name} ({reason}); {kind.remedy}") from error


def wrap(kind: Kind, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content with its kind, version and digest."""
    return {"kind": kind.name, "version": kind.version, "digest": digest(content), **content}


def unwrap(kind: Kind, found: Any) -> dict[str, Any]:
    """Check wrapped content and return it; raises `ValueError` for another kind or version, or changed content."""
    if not isinstance(found, dict) or found.get("kind") != kind.name:
        raise ValueError("written by another program or an earlier version")
    if found.get("version") != kind.version:
        raise ValueError(f"version {str(found.get('version'))[:20]}; this program reads {kind.version}")
    content = {name: value for name, value in found.items() if name not in SEAL}
    if found.get("digest") != digest(content):
        raise ValueError("changed or damaged since it was written")
    return content


def digest(content: Any) -> str:
    """Return the SHA-256 of JSON values; arrays and tensors count by type and shape."""
    text = json.dumps(content, sort_keys=True, default=lambda array: f"{array.dtype} {tuple(array.shape)}")
    return hashlib.sha256(text.encode()).hexdigest()


def write_own(path: Path, kind: Kind, content: Mapping[str, Any]) -> None:
    """Write a wrapped JSON file atomically; raises `InputError` if it cannot be written."""
    write_text(path, json.dumps(wrap(kind, content), indent=1) + "\n")


def read_own(path: Path, kind: Kind, make: Callable[[dict[str, Any]], Made]) -> Made:
    """Read a file of `write_own` and return ``make(content)``; raises as `reading_own` does."""
    with reading_own(path, kind):
        if not is_file(path) or path.stat().st_size > MAX_BYTES:
            raise ValueError(f"not a file of at most {MAX_BYTES >> 20} MiB")
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse_constant)
        return make(unwrap(kind, content))


def read_usable(path: Path, kind: Kind, make: Callable[[dict[str, Any]], Made]) -> Made | None:
    """Read as `read_own` does; return None for a missing file, and for a damaged one with a log message."""
    try:
        return read_own(path, kind, make) if file_mode(path) else None
    except InputError as error:
        log.warning("%s", error)
        return None


def save_record(path: Path, record: Any) -> None:
    """Write the record of a finished part of a run, a dataclass; raises `InputError` if it cannot be written."""
    write_own(path, RECORD, asdict(record))


def load_record(path: Path, kind: type[Made]) -> Made | None:
    """Return the record of a finished part, as `read_usable` does."""
    return read_usable(path, RECORD, lambda content: kind(**content))
