"""Bounded reading of JSON and XML files of other tools, and checks of their fields."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file

LARGEST_FILE = 2**30
"""largest file that is read, in bytes; a million polygons of 100 points take less"""
LARGEST_NUMBER = 1e9
"""largest coordinate, in whatever unit"""
DEEPEST = 100
"""deepest nesting of XML elements"""


class ContentError(InputError):
    """A file's content is wrong; the sentence lacks the file, which `about` puts before it."""


@contextmanager
def about(subject: object) -> Iterator[None]:
    """Raise a `ContentError` of the block as an `InputError` that begins with the subject, usually a path."""
    try:
        yield
    except ContentError as error:
        raise InputError(f"{subject}: {error}") from error


def read_json(path: Path) -> Any:
    """Return the value of a JSON file in UTF-8.

    Raises:
        InputError: no such file, not JSON, or larger than `LARGEST_FILE`.
    """
    try:
        return json.loads(read_bytes(path).decode("utf-8-sig"), parse_constant=_refuse_constant)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"{path}: not readable as JSON ({reason}); export it again") from error


def read_xml(path: Path) -> ElementTree.Element:
    """Return the root element of an XML file.

    Raises:
        InputError: no such file, not XML, too large or too deep, or with a document type, whose entities can grow
            without bound.
    """
    content, depth = read_bytes(path), 0

    def refuse_doctype(*_: object) -> None:
        raise InputError(
            f"{path}: has a document type declaration, which no labelling tool writes; remove it"
        )

    def enter(*_: object) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise InputError(f"{path}: elements nest deeper than {DEEPEST}; export it again")

    def leave(*_: object) -> None:
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse_doctype
    parser.StartElementHandler, parser.EndElementHandler = enter, leave
    try:
        parser.Parse(content, True)
        return ElementTree.fromstring(content)
    except InputError:
        raise
    except (expat.ExpatError, ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{path}: not readable as XML ({error}); export it again") from error


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        InputError: no such file, not readable, or larger than `LARGEST_FILE`.
    """
    if not is_file(path):
        raise InputError(f"{path}: no such file; expected a file of masks")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path}: larger than {LARGEST_FILE >> 20} MB; split it by video")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a file of masks") from error


def records(tree: Any, key: str) -> list[dict[str, Any]]:
    """Return the list of objects under a key of a JSON object; raise `ContentError` for anything else."""
    found = tree.get(key) if isinstance(tree, dict) else None
    if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
        raise ContentError(f"expected a list of objects under {key!r}; export it again")
    return found


def id_of(record: dict[str, Any], key: str) -> int | str | None:
    """Return an id under a key, None if unset; raise `ContentError` for anything but a whole number or text."""
    found = record.get(key)
    if isinstance(found, float) and found.is_integer():
        return int(found)
    if found is None or isinstance(found, int | str):
        return found
    raise ContentError(f"{key!r} is {str(found)[:40]!r}, expected a whole number or text")


def value_of(record: dict[str, Any], key: str, kind: type) -> Any:
    """Return the value of one type under a key; raise `ContentError` for anything else."""
    found = record.get(key)
    if not isinstance(found, kind):
        raise ContentError(f"{key!r} is {str(found)[:40]!r}, expected {kind.__name__}")
    return found


def points_of(value: Any) -> list[tuple[float, float]]:
    """Return points of two numbers each; raise `ContentError` for anything else, and for huge numbers."""
    if isinstance(value, list) and all(isinstance(point, list) and len(point) == 2 for point in value):
        sides = [side for point in value for side in point]
        if all(isinstance(side, int | float) and abs(side) <= LARGEST_NUMBER for side in sides):
            return [(float(x), float(y)) for x, y in value]
    raise ContentError("a shape without points of two numbers as coordinates; export it again")


def numbers(text: str | None) -> list[float]:
    """Return the numbers of a text like ``1,2;3,4``; raise `ContentError` for any other."""
    try:
        return [float(part) for part in (text or "").replace(";", " ").replace(",", " ").split()]
    except ValueError as error:
        raise ContentError(f"{error}; expected numbers") from error


def whole(text: str | None) -> int:
    """Return the whole number of an XML attribute; raise `ContentError` for any other."""
    try:
        return int(text or "")
    except ValueError as error:
        raise ContentError(f"{str(text)[:40]!r}, expected a whole number") from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")
