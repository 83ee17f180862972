"""Bounded reading of JSON files of other tools, with errors as one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file

MAX_FILE_BYTES = 2**30
"""largest file that is read, in bytes; a million polygons of 100 points take less"""


@contextmanager
def about(subject: object) -> Iterator[None]:
    """Turn errors of the block, which parses a file, into an `InputError` about the subject, usually a path.

    Parsers index fields without checks: a missing field or a value of another type ends here. An `InputError` that does
    not begin with the subject gets it as its first words.
    """
    try:
        yield
    except InputError as error:
        if str(error).startswith(str(subject)):
            raise
        raise InputError(f"{subject}: {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        reason = " ".join(str(error).split())[:100]
        reason = f"missing {reason}" if isinstance(error, KeyError) else reason
        raise InputError(f"{subject}: not readable ({reason}); export it again") from error


def read_json(path: Path) -> Any:
    """Return the value of a JSON file in UTF-8 of at most `MAX_FILE_BYTES` bytes; raises `InputError` for any other."""
    try:
        return json.loads(read_bytes(path).decode("utf-8-sig"), parse_constant=_refuse_constant)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"{path}: not readable as JSON ({reason}); export it again") from error


def read_bytes(path: Path) -> bytes:
    """Return the content of a file of at most `MAX_FILE_BYTES` bytes; raises `InputError` for any other."""
    if not is_file(path):
        raise InputError(f"{path}: no such file; expected a file of masks")
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MB; split it by video")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a file of masks") from error


def has_fields(tree: Any, *names: str) -> bool:
    """Return whether a JSON value is an object with these fields."""
    return isinstance(tree, dict) and all(name in tree for name in names)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")
