"""Tables of cells in each format."""

import csv
import io

import pytest

from aotlab.evaluation.benchmarks import find_benchmark
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


@pytest.mark.parametrize(
    ("dataset", "lower"),
    [
        ("davis2017", {"J-Decay", "F-Decay"}),
        ("vost", {"J-Decay", "J_tr-Decay"}),
        ("lvosv2", {"V", "V_seen", "V_unseen"}),
    ],
)
def test_best_value_is_as_the_benchmark_says(dataset, lower):
    benchmark = find_benchmark(dataset)
    names = [name for name in benchmark.list_score_names() if name != "fps"]
    best = find_best(benchmark, [[3.0] * len(names), [2.0] * len(names)], names)
    assert {names[column] for row, column in best if row == 1} == lower
    assert len(best) == len(names)


def test_equal_values_as_printed_are_both_best():
    values = [[80.0, None, 1.0], [79.0, 50.0, 1.04], [80.04, None, 1.0]]
    assert find_best(find_benchmark("lvosv2"), values, ["J", "V", "F"]) == {(0, 0), (2, 0)}


def test_summaries_of_folders_have_the_best_in_bold():
    tables = {"one": {"J": 70.0, "sequences": {}}, "two": {"J": 71.0, "sequences": {}}}
    benchmark = find_benchmark("davis2017")
    assert compare_tables(benchmark, tables, "markdown").endswith("| two | **71.0** |")
    (head, *rows) = csv.reader(io.StringIO(compare_tables(benchmark, tables, "csv")))
    assert (head, rows) == (["results", "J"], [["one", "70.0"], ["two", "71.0"]])
