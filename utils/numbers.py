"""Ranges and parsing of numbers given by users."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass

MOST = 2**31 - 1
"""largest allowed count"""
LARGEST = sys.float_info.max
LONGEST_SIDE = 2**15
"""largest side of an image in pixels"""


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

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
            return False
        if self.whole and value != int(value):
            return False
        above = value > self.low if self.above_low else value >= self.low
        return above and (value < self.high if self.below_high else value <= self.high)

    def __str__(self) -> str:
        """Describe the range, to follow "must be" in a message."""
        low = f"{'above' if self.above_low else 'at least'} {self.low:.15g}" if self.low > -math.inf else ""
        high = f"{'below' if self.below_high else 'at most'} {self.high:.15g}" if self.high < math.inf else ""
        return " and ".join(filter(None, (low, high))) or "a finite number"

    def expected(self, value: float) -> str:
        """Describe the violated part of the range, to follow "must be" in a message."""
        if self.high >= MOST and value < self.low:
            return str(Range(self.low, above_low=self.above_low))
        return str(self)


COUNT = Range(1, MOST, whole=True)
COUNT_OR_NONE = Range(0, MOST, whole=True)
POSITIVE = Range(0, above_low=True)
NOT_NEGATIVE = Range(0)
PART = Range(0, 1)
"""fraction or probability"""
SEED = Range(0, 2**63 - 1, whole=True)


def read_number(text: str, allowed: Range) -> float:
    """Parse a number; an int if the range holds only integers.

    Raises:
        ValueError: not a number in the range; the message describes it.
    """
    try:
        value = int(text) if allowed.whole else float(text)
    except ValueError:
        value = math.nan
    if value not in allowed:
        expected = f"{'a whole number ' if allowed.whole else ''}{allowed.expected(value)}"
        raise ValueError(f"must be {expected}, got {text[:40]}")
    return value


def require(condition: bool, message: str) -> None:
    """Raise ValueError with ``message`` unless ``condition`` holds."""
    if not condition:
        raise ValueError(message)


def require_choice(value: object, choices: Collection[str], name: str) -> None:
    """Raise ValueError unless a setting has one of these values."""
    require(value in choices, f"{name} must be one of {', '.join(choices)}, got {value}")


def require_numbers(settings: object, prefix: str, allowed: Mapping[str, Range]) -> None:
    """Raise ValueError for the first attribute out of range; None is always allowed.

    Args:
        settings: object with the numbers as attributes.
        prefix: prefix of the names in the message, such as ``memory.``.
    """
    for name, numbers in allowed.items():
        value = getattr(settings, name)
        if value is not None and value not in numbers:
            raise ValueError(f"{prefix}{name} must be {numbers.expected(value)}, got {value}")
