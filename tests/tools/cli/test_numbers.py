"""Numbers on command lines are finite, within 64 bits and in their bounds; all else is one sentence and status 2."""

from __future__ import annotations

import pytest

from aotlab.tools.cli.numbers import ABOVE_ZERO, AT_LEAST_ONE, INTEGER, PIXELS
from aotlab.tools.cli.program import Parser
from aotlab.tools.main import main
from aotlab.utils.errors import InputError


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
def test_a_number_that_is_none_is_refused_in_a_sentence_that_names_the_option(kind, text, words):
    parser = Parser("test", description="")
    parser.add_argument("--number", type=kind)
    with pytest.raises(InputError, match=r"^argument --number: ") as caught:
        parser.parse_args([f"--number={text}"])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "argv",
    [
        *(["annotate", "a.mp4", "--port", text] for text in ("-1", "65536", "nan", "1e3", "")),
        *(["export", "--size", text] for text in ("0x0", "²x5", "9" * 5000 + "x5", "99999x99999")),
        *(["track", "a.mp4", "--remove", text] for text in ("9" * 5000 + ":1", "1:0", "²:1", "1:-1")),
    ],
)
def test_numbers_of_every_tool_have_bounds_and_one_short_sentence(argv, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert status_of(argv) == 2
    sentence = capsys.readouterr().err
    assert sentence.startswith("error: ")
    assert sentence.count("\n") == 1
    assert len(sentence) < 300


def status_of(argv):
    """What the program ends with, of itself or by its parser."""
    try:
        return main(argv)
    except SystemExit as left:
        return left.code
