"""Reading JSON and XML that others wrote, without trusting it: bounded, and without XML's document types."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file

LARGEST_FILE = 2**30
"""Bytes above which a file is refused; a million polygons of 100 points take less."""
LARGEST_NUMBER = 1e9
"""of coordinates, in whatever unit"""
DEEPEST = 100
"""Elements within each other of an XML file."""


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        InputError: it is no file, cannot be read, or is larger than `LARGEST_FILE`.
    """
    if not is_file(path):
        raise InputError(f"{path}: no such file; expected a file of masks")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path}: larger than {LARGEST_FILE >> 20} MB; split it by video")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a file of masks") from error


def parse_json(content: bytes, name: str) -> Any:
    """The value of a JSON file, in UTF-8; raises `InputError` if it is none."""
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"{name}: not readable as JSON ({reason}); export it again") from error


def parse_xml(content: bytes, name: str) -> ElementTree.Element:
    """The root element of an XML file.

    Raises:
        InputError: it is not XML, has a document type (through which entities grow without bound), or nests too deeply.
    """
    depth = 0

    def refuse_doctype(*_: object) -> None:
        raise InputError(
            f"{name}: has a document type declaration, which no labelling tool writes; remove it"
        )

    def enter(*_: object) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise InputError(f"{name}: elements nest deeper than {DEEPEST}; export it again")

    def leave(_: object) -> None:
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse_doctype
    parser.StartElementHandler, parser.EndElementHandler = enter, leave
    try:
        parser.Parse(content, True)
        return ElementTree.fromstring(content)
    except (expat.ExpatError, ElementTree.ParseError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}: not readable as XML ({error}); export it again") from error


def records(tree: Any, key: str, name: str) -> list[dict[str, Any]]:
    """The list of objects under a key of a JSON object.

    Raises:
        InputError: there is none, or it holds something else.
    """
    found = tree.get(key) if isinstance(tree, dict) else None
    if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
        raise InputError(f"{name}: expected a list of objects under {key!r}; export it again")
    return found


def id_of(record: dict[str, Any], key: str, name: str) -> int | str | None:
    """What a record has under a key that says which it is; raises `InputError` for anything but a number or text."""
    found = record.get(key)
    if isinstance(found, float) and found.is_integer():
        return int(found)
    if found is None or isinstance(found, int | str):
        return found
    raise InputError(f"{name}: {key!r} is {str(found)[:40]!r}, expected a whole number or text")


def value_of(record: dict[str, Any], key: str, kinds: type | tuple[type, ...], name: str) -> Any:
    """What a record has under a key, of one of these types; raises `InputError` if it has not."""
    found = record.get(key)
    if not isinstance(found, kinds) or (isinstance(found, bool) and kinds is int):
        expected = " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
        raise InputError(f"{name}: {key!r} is {str(found)[:40]!r}, expected {expected}")
    return found


def points_of(value: Any, name: str) -> list[tuple[float, float]]:
    """Points of two numbers each; raises `InputError` for anything else, and for numbers that no picture has."""
    if isinstance(value, list) and all(isinstance(point, list) and len(point) == 2 for point in value):
        sides = [side for point in value for side in point]
        if all(isinstance(side, int | float) and abs(side) <= LARGEST_NUMBER for side in sides):
            return [(float(x), float(y)) for x, y in value]
    raise InputError(f"{name}: a shape without points of two numbers as coordinates; export it again")


def listed(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def numbers(text: str | None, name: str, *, separators: Sequence[str] = (";", ",")) -> list[float]:
    """Numbers of a text like ``1,2;3,4``; raises `InputError` where one is none."""
    text = text or ""
    for separator in separators:
        text = text.replace(separator, " ")
    try:
        return [float(part) for part in text.split()]
    except ValueError as error:
        raise InputError(f"{name}: {error}; expected numbers") from error


def whole(text: str | None, name: str) -> int:
    """The whole number of an XML attribute; raises `InputError` if it is none."""
    try:
        return int(text or "")
    except ValueError as error:
        raise InputError(f"{name}: {str(text)[:40]!r} where a whole number is expected") from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
