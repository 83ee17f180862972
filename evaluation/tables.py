"""Tables of scores as `scores.json` and as rows of text, in percent."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aotlab.evaluation.benchmark import Benchmark
from aotlab.evaluation.rows import Row, column_mean, mean_row
from aotlab.evaluation.sequence_scores import SequenceScores
from aotlab.utils.tables import TableFormat, format_rows


def make_object_rows(benchmark: Benchmark, scores: SequenceScores) -> list[Row]:
    """Return one row per object of a sequence, from the frames that count for it."""
    rows, count = [], len(benchmark.metrics)
    for index, region in enumerate(scores.region):
        scored = ~np.isnan(region)
        row = benchmark.make_row(*(values[index][scored] for values in scores.values[:count]))
        rows.append({column: row[column] for column in benchmark.columns if column in row})
        for name, values in zip(benchmark.measures, scores.values[count:], strict=True):
            if not np.isnan(values[index]).all():
                rows[-1][name] = 100 * float(np.nanmean(values[index]))
    return rows


def make_scores_table(benchmark: Benchmark, scores: Mapping[str, SequenceScores]) -> dict[str, Any]:
    """Return the content of `scores.json`: the benchmark's summary, and ``sequences`` with their ``objects``.

    Means at the top are over the objects of all sequences, not over sequences.
    """
    by_sequence = {name: make_object_rows(benchmark, scores[name]) for name in sorted(scores)}
    rows = [row for part in by_sequence.values() for row in part]
    seen = [item.seen_in_training for name in by_sequence for item in scores[name].objects]
    table: dict[str, Any] = {
        **benchmark.summarize(rows, seen),
        **{name: column_mean(rows, name) for name in benchmark.measures},
    }
    table["sequences"] = {
        name: {
            **mean_row(part),
            "objects": {item.name: row for item, row in zip(scores[name].objects, part, strict=True)},
        }
        for name, part in by_sequence.items()
    }
    return table


def list_object_rows(table: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, float]]]:
    """Return (sequence, object, row) of every object."""
    return [
        (name, object_id, row)
        for name, sequence in table["sequences"].items()
        for object_id, row in sequence["objects"].items()
    ]


def format_table(table: Mapping[str, Any], columns: Sequence[str], style: TableFormat = "text") -> tuple[str, str]:
    """Format a table: objects, means of sequences with several objects, the mean over all.

    Returns:
        The table, and the values of the benchmark's summary that differ from that mean, empty without any.
    """
    objects = list_object_rows(table)
    means = mean_row([dict(row) for _, _, row in objects])
    lines = []
    for name, sequence in table["sequences"].items():
        lines += [line for line in objects if line[0] == name]
        if len(sequence["objects"]) > 1:
            lines.append((name, "mean", sequence))
    if len(objects) > 1:
        lines.append((f"mean of {len(objects)} objects", "", means))
    rows = [["sequence", "object", *columns]]
    for name, item, row in lines:
        rows.append([name, item, *(format_value(row.get(key)) for key in columns)])
    others = {key: value for key, value in table.items() if key != "sequences"}
    extra = [f"{key} {format_value(value)}" for key, value in others.items() if means.get(key, ...) != value]
    return format_rows(rows, style), "  ".join(extra)


def format_value(value: float | None) -> str:
    """Return a value of a table as text; "-" if it is undefined."""
    return "-" if value is None else f"{value:.1f}"


def compare_tables(benchmark: Benchmark, tables: Mapping[str, Mapping[str, Any]], style: TableFormat = "text") -> str:
    """Format the summaries of several tables, one row per name of a table; the best values are bold."""
    columns = dict.fromkeys(key for table in tables.values() for key in table if key != "sequences")
    values = [[table.get(key) for key in columns] for table in tables.values()]
    rows = [["results", *columns]]
    rows += [[name, *map(format_value, row)] for name, row in zip(tables, values, strict=True)]
    best = {(row + 1, column + 1) for row, column in find_best(benchmark, values, [*columns])}
    return format_rows(rows, style, best=best)


def find_best(
    benchmark: Benchmark, values: Sequence[Sequence[float | None]], names: Sequence[str]
) -> set[tuple[int, int]]:
    """Return (row, column) of the best values of each column as printed, if they differ; ``names``: of the columns."""
    best = set()
    for index, name in enumerate(names):
        sign = -1 if name in benchmark.lower_is_better else 1
        column = {
            row: sign * round(line[index] or 0.0, 1) for row, line in enumerate(values) if line[index] is not None
        }
        if len({*column.values()}) > 1:
            best |= {(row, index) for row, value in column.items() if value == max(column.values())}
    return best
