"""Reading a large JSON file piece by piece."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from aotlab.utils.errors import InputError

BLOCK = 4 << 20
"""bytes read at a time"""
BLANKS = " \t\r\n"


class Element(NamedTuple):
    """An element of an array, and where in the file it stands."""

    key: str
    value: Any
    offset: int
    """bytes from the start of the file"""
    length: int
    """bytes"""


def stream_arrays(path: Path, keys: Collection[str]) -> Iterator[Element]:
    """The elements of the arrays that stand under some keys of a JSON object, as they come in the file.

    Text outside ASCII is not decoded: `unscramble` gives a string its characters.

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
                f"{path}: not a whole JSON object ({error.msg} at byte {offset}); fetch the file again"
            ) from error


def unscramble(text: str) -> str:
    """A string of `stream_arrays` as it is meant."""
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
    """The part of a file that is in memory. One character stands for one byte, so that positions are byte offsets."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.text = ""
        self.at = 0
        self.base = 0
        self.decoder = json.JSONDecoder()

    def value(self) -> tuple[Any, int, int]:
        """The value that comes next, its offset in the file and its length."""
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError:
                if not self._more():
                    raise
                continue
            if len(self.text) - end < 3 and self._more():
                continue  # a number may go on behind the block's end, after "1", "1." or "1e-"
            start, self.at = self.at, end
            return value, self.base + start, end - start

    def peek(self) -> str:
        """The next character that is not blank; none of it is used up."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in BLANKS:
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._more():
                raise json.JSONDecodeError("the file ends", self.text, self.at)

    def take(self, character: str) -> None:
        """Use up a character that has to come next."""
        if self.peek() != character:
            raise json.JSONDecodeError(f"expected {character}", self.text, self.at)
        self.at += 1

    def skip_comma(self, end: str) -> None:
        """Use up a comma, unless ``end`` comes."""
        if self.peek() != end:
            self.take(",")

    def _more(self) -> bool:
        """Read on, and forget what is used up; False at the end of the file."""
        block = self.file.read(max(BLOCK, len(self.text) - self.at))
        if not block:
            return False  # positions found in the text stay valid
        self.text = self.text[self.at :] + block.decode("latin-1")
        self.base += self.at
        self.at = 0
        return True
