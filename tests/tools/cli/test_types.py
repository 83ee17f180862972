"""Values of options: numbers in a range, sizes and bytes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aotlab.tools.cli.types import parse_bytes, parse_number, parse_size
from aotlab.utils.numbers import FRACTION, POSITIVE, POSITIVE_COUNT, SEED, Range


@given(st.one_of(st.floats().map(repr), st.integers().map(str), st.text(max_size=10)))
def test_number_read_is_finite_and_in_range(text):
    for allowed in (POSITIVE_COUNT, FRACTION, POSITIVE, SEED, Range()):
        try:
            value = parse_number(text, allowed)
        except ValueError:
            continue
        assert math.isfinite(value)
        assert allowed.low <= value <= allowed.high
        assert isinstance(value, int) == (allowed.step is not None)


@pytest.mark.parametrize(("read", "text", "value"), [
    (parse_size, "854x480", (854, 480)),
    (parse_size, "1x1", (1, 1)),
    (parse_bytes, "2GB", 2 * 10**9),
    (parse_bytes, "1.5 GiB", 3 * 2**29),
    (parse_bytes, "7b", 7),
    (parse_bytes, "1TB", 10**12),
    (parse_bytes, "1TiB", 2**40),
])  # fmt: skip
def test_sizes_and_bytes_are_read(read, text, value):
    assert read(text) == value


@pytest.mark.parametrize(("read", "text"), [
    *((parse_size, text) for text in ("", "854", "854x", "0x480", "-1x2", "1.5x2", "axb")),
    *((parse_bytes, text) for text in ("", "2", "0GB", "GB", "-1GB", "1e3GB", "2 bits", "0.5B")),
])  # fmt: skip
def test_invalid_sizes_and_bytes_show_an_example(read, text):
    with pytest.raises(ValueError, match="for example"):
        read(text)
