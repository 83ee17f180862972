"""Ranges of numbers."""

import math

import numpy as np
import pytest

from aotlab.utils.numbers import MAX_COUNT, POSITIVE, POSITIVE_COUNT, Range


@pytest.mark.parametrize(("numbers", "text", "inside", "outside"), [
    (Range(), "a finite number", [-1e300, 0], [math.nan, math.inf, -math.inf, 10**400, True, "1", None]),
    (Range(0), "0 or more", [0, 0.5, np.float32(2)], [-1e-9]),
    (POSITIVE, "above 0", [1e-9], [0]),
    (POSITIVE_COUNT, f"1 to {MAX_COUNT}", [1, 2.0, np.int64(3), MAX_COUNT], [0, 1.5, MAX_COUNT + 1]),
    (Range(0, 1, exclusive_high=True), "at least 0 and below 1", [0, 0.5], [1]),
    (Range(0, 1, exclusive_low=True), "above 0 and at most 1", [0.5, 1], [0]),
    (Range(16, step=16), "16 or more, a multiple of 16", [16, 48], [0, 24, 16.5]),
    (Range(2, 8, step=2), "2 to 8, a multiple of 2", [2, 8], [3, 10]),
])  # fmt: skip
def test_range_contains_its_bounds_unless_exclusive(numbers, text, inside, outside):
    assert str(numbers) == text
    assert [value for value in inside if value not in numbers] == []
    assert [value for value in outside if value in numbers] == []
