"""Numbers, sizes and tables as text, and the ranges of settings."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import UnionType

from aotlab.utils.errors import InputError, suggest

MAX_COUNT = 2**31 - 1
MAX_FLOAT = sys.float_info.max
MAX_SIDE = 2**15
UNITS = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}


@dataclass(frozen=True)
class Range:
    """Range of allowed numbers."""

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    above_low: bool = False
    """exclude the lower bound"""
    below_high: bool = False
    """exclude the upper bound"""
    multiple: int = 1
    """step of whole numbers"""

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_FLOAT:
            return False
        if (self.whole or self.multiple > 1) and value % self.multiple:
            return False
        above = value > self.low if self.above_low else value >= self.low
        return above and (value < self.high if self.below_high else value <= self.high)

    def __str__(self) -> str:
        """Describe the range, to follow "must be" in a message."""
        low = f"{'above' if self.above_low else 'at least'} {self.low:.15g}" if self.low > -math.inf else ""
        high = f"{'below' if self.below_high else 'at most'} {self.high:.15g}" if self.high < math.inf else ""
        step = f"a multiple of {self.multiple}" if self.multiple > 1 else ""
        return " and ".join(filter(None, (low, high, step))) or "a finite number"


POSITIVE_COUNT = Range(1, MAX_COUNT, whole=True)
COUNT = Range(0, MAX_COUNT, whole=True)
POSITIVE = Range(0, above_low=True)
NON_NEGATIVE = Range(0)
FRACTION = Range(0, 1)
SEED = Range(0, 2**63 - 1, whole=True)


def parse_number(text: str, allowed: Range) -> float:
    """Parse a number; an int if the range holds only integers.

    Raises:
        ValueError: not a number in the range; the message describes it.
    """
    try:
        value = int(text) if allowed.whole else float(text)
    except ValueError:
        value = math.nan
    if value not in allowed:
        expected = f"{'a whole number ' if allowed.whole else ''}{allowed}"
        raise ValueError(f"must be {expected}, got {text[:40]}")
    return value


def require(condition: bool, message: str) -> None:
    """Raise InputError with ``message`` unless ``condition`` holds."""
    if not condition:
        raise InputError(message)


def require_type(value: object, kinds: type | UnionType, subject: str) -> None:
    """Raise InputError unless a value has one of these types; ``subject``: name of the value, and what is expected."""
    require(isinstance(value, kinds), f"{subject}, got {type(value).__name__}")


def require_choice(value: object, choices: Collection[object], name: str) -> None:
    """Raise InputError, with the most similar choice, unless a setting has one of these values."""
    if value not in choices:
        names = [str(choice) for choice in choices]
        near = suggest(str(value), names, "")
        remedy = f"; {near}" if near else ""
        raise InputError(f"{name} must be one of {', '.join(names)}, got {value}{remedy}")


def require_range(value: object, allowed: Range, name: str) -> None:
    """Raise InputError unless a setting is in a range."""
    got = f"the text {value!r}" if isinstance(value, str) else value
    require(value in allowed, f"{name} must be {allowed}, got {got}")


def parse_size(text: str) -> tuple[int, int]:
    """Parse (width, height) from text such as "854x480"; raises `ValueError` unless they are integers above 0."""
    match = re.fullmatch("([0-9]{1,5})x([0-9]{1,5})", text)
    if match is None or not all(1 <= int(side) <= MAX_SIDE for side in match.groups()):
        raise ValueError(f"{text[:40]}: expected WIDTHxHEIGHT of at most {MAX_SIDE}, for example 854x480")
    return int(match[1]), int(match[2])


def parse_bytes(text: str) -> int:
    """Parse bytes from text such as "2GB", "512MB" or "1.5GiB"; raises `ValueError` for any other."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *([KMGT]?I?B)", text.strip().upper())
    if match is None or match[2] not in UNITS or float(match[1]) == 0:
        raise ValueError(f"{text}: expected bytes with their unit, for example 2GB or 512MB")
    return int(float(match[1]) * UNITS[match[2]])


def format_bytes(count: int) -> str:
    """Return bytes as text such as "1.5 GB"."""
    # With three digits, 999.5 KB would be shown as 1000 KB. From there on, the next unit is used.
    unit = next((name for name in ("B", "KB", "MB", "GB") if count < 999.5 * UNITS[name]), "TB")
    value = count / UNITS[unit]
    return f"{value:.3g} {unit}" if value < 999.5 else f"{value:.0f} {unit}"


def join_first(values: Sequence[object], limit: int) -> str:
    """Return the first values with commas, and an ellipsis if there are more than ``limit``."""
    return ", ".join(map(str, values[:limit])) + ", …" * (len(values) > limit)


def format_count(number: int, noun: str) -> str:
    """Return "1 sequence" or "2 sequences"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def align_columns(rows: Sequence[Sequence[str]], *, right: int | None = None) -> list[list[str]]:
    """Pad the cells of each column to one width; right-aligned from column ``right`` on."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    flush_right = len(widths) if right is None else right
    return [
        [
            cell.rjust(width) if column >= flush_right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
