"""Tables of cells in each format."""

import csv
import io

import pytest

from aotlab.evaluation.tables import compare_tables, find_best
from aotlab.utils.tables import TABLE_FORMATS, format_rows

ROWS = [["model", "J&F"], ["a_b", "9.5"], ["c,|d", "80.0"]]
EXPECTED = {
    "text": "model   J&F\n-----------\na_b     9.5\nc,|d   80.0",
    "csv": 'model,J&F\na_b,9.5\n"c,|d",80.0',
    "latex": "\\begin{tabular}{lr}\n\\hline\nmodel & J\\&F \\\\\n\\hline\na\\_b & 9.5 \\\\\nc,|d & "
    "\\textbf{80.0} \\\\\n\\hline\n\\end{tabular}",
    "markdown": "| model | J&F |\n| --- | ---: |\n| a_b | 9.5 |\n| c,\\|d | **80.0** |",
}


@pytest.mark.parametrize("style", TABLE_FORMATS)
def test_table_is_written_in_each_format(style):
    assert format_rows(ROWS, style, best={(2, 1)}) == EXPECTED[style]


def test_best_is_the_largest_value_and_the_smallest_decay():
    values = [[80.0, 3.0, None, 1.0], [79.0, 2.0, 50.0, 1.04], [80.04, 4.0, None, 1.0]]
    assert find_best(values, ["J", "J-Decay", "V", "F"]) == {(0, 0), (2, 0), (1, 1)}


def test_summaries_of_folders_have_the_best_in_bold():
    tables = {"one": {"J": 70.0, "sequences": {}}, "two": {"J": 71.0, "sequences": {}}}
    assert compare_tables(tables, "markdown").endswith("| two | **71.0** |")
    (head, *rows) = csv.reader(io.StringIO(compare_tables(tables, "csv")))
    assert (head, rows) == (["results", "J"], [["one", "70.0"], ["two", "71.0"]])
