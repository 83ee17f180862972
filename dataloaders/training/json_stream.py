"""Streaming reader of large JSON files."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from aotlab.utils.errors import InputError

BLOCK = 4 << 20
"""block size in bytes"""
BLANKS = " \t\r\n"


class Element(NamedTuple):
    """An element of an array with its position in the file."""

    key: str
    value: Any
    offset: int
    """offset in bytes"""
    length: int
    """length in bytes"""


def stream_arrays(path: Path, keys: Collection[str]) -> Iterator[Element]:
    """Yield the elements of the arrays under some keys of a JSON object, in file order.

    Text outside ASCII is not decoded; `unscramble` decodes a string.

    Raises:
        InputError: no such file, or not a JSON object.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such JSON file")
    with path.open("rb") as file:
        text = _Text(file)
        try:
            yield from _elements(text, keys)
        except json.JSONDecodeError as error:
            offset = text.base + error.pos
            raise InputError(
                f"{path}: not a complete JSON object ({error.msg} at byte {offset}); download the file again"
            ) from error


def unscramble(text: str) -> str:
    """Decode a string from `stream_arrays`."""
    return text.encode("latin-1").decode("utf-8", errors="replace")


def _elements(text: _Text, keys: Collection[str]) -> Iterator[Element]:
    text.take("{")
    while text.peek() != "}":
        key, _, _ = text.value()
        text.take(":")
        if key in keys and text.peek() == "[":
            text.take("[")
            while text.peek() != "]":
                yield Element(key, *text.value())
                text.skip_comma("]")
            text.take("]")
        else:
            text.value()
        text.skip_comma("}")


class _Text:
    """Buffered part of a file, one character per byte, so that positions are byte offsets."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.text = ""
        self.at = 0
        self.base = 0
        self.decoder = json.JSONDecoder()

    def value(self) -> tuple[Any, int, int]:
        """Read the next value; return it with its offset in the file and its length."""
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError:
                if not self._more():
                    raise
                continue
            if len(self.text) - end < 3 and self._more():
                continue  # a number may continue in the next block, after "1", "1." or "1e-"
            start, self.at = self.at, end
            return value, self.base + start, end - start

    def peek(self) -> str:
        """Return the next non-blank character without consuming it."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in BLANKS:
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._more():
                raise json.JSONDecodeError("the file ends", self.text, self.at)

    def take(self, character: str) -> None:
        """Consume a character that must come next."""
        if self.peek() != character:
            raise json.JSONDecodeError(f"expected {character}", self.text, self.at)
        self.at += 1

    def skip_comma(self, end: str) -> None:
        """Consume a comma, unless ``end`` is next."""
        if self.peek() != end:
            self.take(",")

    def _more(self) -> bool:
        """Read another block and drop consumed text; return False at the end of the file."""
        block = self.file.read(max(BLOCK, len(self.text) - self.at))
        if not block:
            return False  # positions in the text stay valid
        self.text = self.text[self.at :] + block.decode("latin-1")
        self.base += self.at
        self.at = 0
        return True
