"""Bytes as text."""

import pytest

from aotlab.utils.numbers import format_bytes


@pytest.mark.parametrize(("count", "text"), [
    (0, "0 B"), (999, "999 B"), (999_499, "999 KB"), (999_999, "1 MB"), (1_500_000_000, "1.5 GB"),
    (12 * 10**15, "12000 TB"),
])  # fmt: skip
def test_bytes_are_shown_in_three_digits(count, text):
    assert format_bytes(count) == text
