"""Ranges of numbers."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

MAX_COUNT = 2**31 - 1
MAX_FLOAT = sys.float_info.max
MAX_SIDE = 2**15
"""Longest side of an image in pixels."""


@dataclass(frozen=True)
class Range:
    """Range of allowed numbers."""

    low: float = -math.inf
    high: float = math.inf
    step: int | None = None
    """Divisor of allowed whole numbers; None: fractions are allowed."""
    exclusive_low: bool = False
    """Whether the lower bound itself is excluded."""
    exclusive_high: bool = False
    """Whether the upper bound itself is excluded."""

    def __contains__(self, value: Any) -> bool:
        if not _is_finite(value) or (self.step and value % self.step):
            return False
        above = value > self.low if self.exclusive_low else value >= self.low
        return above and (value < self.high if self.exclusive_high else value <= self.high)

    def __get_pydantic_core_schema__(self, kind: Any, handler: Callable[[Any], Any]) -> Any:
        """Check the fields of pydantic models that are annotated with the range."""
        from pydantic_core.core_schema import no_info_after_validator_function

        return no_info_after_validator_function(self.check, handler(kind))

    def check(self, value: Any) -> Any:
        """Return the value; raise `ValueError` if it is out of range."""
        if value not in self:
            raise ValueError(f"must be {'finite' if value in (math.inf, -math.inf) else self}, got {value}")
        return value

    def __str__(self) -> str:
        """Describe the range, to follow "must be" in a message."""
        low, high = (f"{bound:.15g}" if isinstance(bound, float) else str(bound) for bound in (self.low, self.high))
        step = f", a multiple of {self.step}" if self.step and self.step > 1 else ""
        if self.high == math.inf:
            text = f"above {low}" if self.exclusive_low else f"{low} or more"
            return text + step if self.low > -math.inf else "a finite number"
        if self.exclusive_low or self.exclusive_high:
            above = "above" if self.exclusive_low else "at least"
            below = "below" if self.exclusive_high else "at most"
            return f"{above} {low} and {below} {high}{step}"
        return f"{low} to {high}{step}"


def _is_finite(value: object) -> bool:
    """Return whether a value is a finite number, also of NumPy."""
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) <= MAX_FLOAT
    return isinstance(value, Real) and math.isfinite(value)


POSITIVE_COUNT = Range(1, MAX_COUNT, step=1)
COUNT = Range(0, MAX_COUNT, step=1)
POSITIVE = Range(0, exclusive_low=True)
NON_NEGATIVE = Range(0)
FRACTION = Range(0, 1)
SEED = Range(0, 2**63 - 1, step=1)
