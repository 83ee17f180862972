"""Rows of the public evaluators' tables: fractions under their names."""

import re

import pytest

ROUNDING = 1e-12
"""Integer counts, then float64 divisions and sums in another order."""


def find_column(name: str) -> str:
    """Return our name for an evaluator's column, such as J-Recall for J_recall, and J_seen for J-seen-Mean."""
    measure, statistic = re.fullmatch(r"(.+?)(?:[-_](mean|recall|decay))?", name, re.IGNORECASE).groups()
    column = measure.replace("-", "_").replace("J_last", "J_tr")
    return column if statistic in (None, "mean", "Mean") else f"{column}-{statistic.capitalize()}"


def assert_row(found: dict, expected: dict[str, float]) -> None:
    """Compare a row in percent with an evaluator's."""
    assert expected
    for name, value in expected.items():
        if value is not None and name != "n_frames":
            assert found[find_column(name)] == pytest.approx(100 * value, abs=100 * ROUNDING), name
