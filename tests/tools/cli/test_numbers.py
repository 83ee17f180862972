"""Numbers on command lines are finite, within 64 bits and in their bounds; all else is one sentence and status 2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aotlab.tools.cli.numbers import ABOVE_ZERO, AT_LEAST_ONE, INTEGER, PIXELS
from aotlab.tools.cli.program import Parser


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (AT_LEAST_ONE, "0", "must be a whole number at least 1, got 0"),
        (AT_LEAST_ONE, "1.5", "must be a whole number at least 1"),
        (AT_LEAST_ONE, "99999999999999999999", "at most 2147483647"),
        (INTEGER, "-99999999999999999999", "at least -2147483647"),
        (ABOVE_ZERO, "nan", "must be above 0, got nan"),
        (ABOVE_ZERO, "inf", "must be above 0, got inf"),
        (ABOVE_ZERO, "1e999", "must be above 0, got 1e999"),
        (ABOVE_ZERO, "0", "must be above 0, got 0"),
        (PIXELS, "31", "at least 32 and at most 32768"),
        (PIXELS, "٣٢٠٠٠٠", "at most 32768"),
        (PIXELS, "x" * 500, "got " + "x" * 40),
    ],
)
def test_a_number_that_is_none_is_refused_in_a_sentence_that_names_the_option(capsys, kind, text, words):
    parser = Parser("test", description="")
    parser.add_argument("--number", type=kind)
    with pytest.raises(SystemExit) as caught:
        parser.parse_args([f"--number={text}"])
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("error: argument --number: ")
    assert words in message
    assert message.count("\n") == 1


@given(st.integers(1, 2**31 - 1))
def test_whole_numbers_are_read_as_they_are(value):
    assert AT_LEAST_ONE(str(value)) == value
    assert isinstance(AT_LEAST_ONE(str(value)), int)


@given(st.floats(min_value=1e-300, allow_infinity=False))
def test_finite_numbers_are_read_as_they_are(value):
    assert ABOVE_ZERO(repr(value)) == value
