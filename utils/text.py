"""Sizes, byte counts and tables as text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aotlab.utils.numbers import LONGEST_SIDE

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def size_text(text: str) -> tuple[int, int]:
    """Parse (width, height) from text such as "854x480"; raises `ValueError` unless they are integers above 0."""
    match = re.fullmatch("([0-9]{1,5})x([0-9]{1,5})", text)
    if match is None or not all(1 <= int(side) <= LONGEST_SIDE for side in match.groups()):
        raise ValueError(f"{text[:40]}: expected WIDTHxHEIGHT of at most {LONGEST_SIDE}, for example 854x480")
    return int(match[1]), int(match[2])


def byte_count(text: str) -> int:
    """Parse bytes from text such as "2GB", "512MB" or "1.5GiB"; raises `ValueError` for any other."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *([KMG]?I?B)", text.strip().upper())
    if match is None or match[2] not in UNITS or float(match[1]) == 0:
        raise ValueError(f"{text}: expected bytes with their unit, for example 2GB or 512MB")
    return int(float(match[1]) * UNITS[match[2]])


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return "1 sequence" or "2 sequences"; ``plural`` for irregular nouns."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def columns(rows: Sequence[Sequence[str]], *, right: int | None = None) -> list[list[str]]:
    """Pad the cells of each column to one width; right-aligned from column ``right`` on."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    flush_right = len(widths) if right is None else right
    return [
        [cell.rjust(width) if index >= flush_right else cell.ljust(width) for index, (cell, width) in places]
        for places in (enumerate(zip(row, widths, strict=True)) for row in rows)
    ]
