"""Bounded reading of JSON and XML files of other tools, with errors as one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file

LARGEST_FILE = 2**30
"""largest file that is read, in bytes; a million polygons of 100 points take less"""
DEEPEST = 100
"""deepest nesting of XML elements"""


class ContentError(InputError):
    """Wrong content of a file; `about` puts the file's name before the sentence."""


@contextmanager
def about(subject: object) -> Iterator[None]:
    """Turn errors of the block, which parses a file, into an `InputError` about the subject, usually a path.

    Parsers index fields without checks: a missing field or a value of another type ends here.
    """
    try:
        yield
    except ContentError as error:
        raise InputError(f"{subject}: {error}") from error
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        reason = " ".join(str(error).split())[:100]
        reason = f"missing {reason}" if isinstance(error, KeyError) else reason
        raise InputError(f"{subject}: not readable ({reason}); export it again") from error


def read_json(path: Path) -> Any:
    """Return the value of a JSON file in UTF-8 of at most `LARGEST_FILE` bytes; raises `InputError` for any other."""
    try:
        return json.loads(read_bytes(path).decode("utf-8-sig"), parse_constant=_refuse_constant)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"{path}: not readable as JSON ({reason}); export it again") from error


class _Tree(ElementTree.TreeBuilder):
    """Builder of elements that refuses document types, whose entities can grow without bound, and deep nesting."""

    depth = 0

    def doctype(self, *_: object) -> None:
        raise ContentError("has a document type declaration, which no labelling tool writes; remove it")

    def start(self, tag: Any, attrs: Any) -> Any:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ContentError(f"elements nest deeper than {DEEPEST}; export it again")
        return super().start(tag, attrs)

    def end(self, tag: Any) -> Any:
        self.depth -= 1
        return super().end(tag)


def read_xml(path: Path) -> ElementTree.Element:
    """Return the root element of an XML file; raises `InputError` for one that is missing, large, deep or no XML."""
    content = read_bytes(path)
    with about(path):
        try:
            root: ElementTree.Element = ElementTree.fromstring(content, ElementTree.XMLParser(target=_Tree()))
        except ElementTree.ParseError as error:
            raise ContentError(f"not readable as XML ({error}); export it again") from error
        return root


def read_bytes(path: Path) -> bytes:
    """Return the content of a file of at most `LARGEST_FILE` bytes; raises `InputError` for any other."""
    if not is_file(path):
        raise InputError(f"{path}: no such file; expected a file of masks")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path}: larger than {LARGEST_FILE >> 20} MB; split it by video")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a file of masks") from error


def has_fields(tree: Any, *names: str) -> bool:
    """Return whether a JSON value is an object with these fields."""
    return isinstance(tree, dict) and all(name in tree for name in names)


def numbers(text: str) -> list[float]:
    """Return the numbers of a text like ``1,2;3,4``; raise `ValueError` for any other."""
    return [float(part) for part in text.replace(";", " ").replace(",", " ").split()]


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")
