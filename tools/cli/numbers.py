"""Numbers on the command line, with the ranges and messages of settings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from aotlab.tools.cli.program import argument_type
from aotlab.utils.numbers import COUNT, COUNT_OR_NONE, LONGEST_SIDE, MOST, POSITIVE, Range, read_number


def number(allowed: Range) -> Callable[[str], float]:
    """Return an argparse type for numbers in a range."""
    return argument_type(partial(read_number, allowed=allowed))


INTEGER = number(Range(-MOST, MOST, whole=True))
"""for options whose bounds are known later, and checked there"""
AT_LEAST_ONE = number(COUNT)
AT_LEAST_TWO = number(Range(2, MOST, whole=True))
NOT_NEGATIVE = number(COUNT_OR_NONE)
ABOVE_ZERO = number(POSITIVE)
PIXELS = number(Range(32, LONGEST_SIDE, whole=True))
OBJECTS = number(Range(1, 65535, whole=True))
MEMORY_FRAMES = number(Range(1, 10**6, whole=True))
SCALE = number(Range(0, 16, above_low=True))
PORT = number(Range(0, 65535, whole=True))
