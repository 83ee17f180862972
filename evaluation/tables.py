"""Tables of scores as `scores.json` and text, in percent."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aotlab.evaluation.benchmark import Benchmark
from aotlab.evaluation.rows import Row, column_mean, mean_row
from aotlab.evaluation.sequence_scores import SequenceScores
from aotlab.utils.text import align_columns


def make_object_rows(benchmark: Benchmark, scores: SequenceScores) -> list[Row]:
    """Return one row per object of a sequence, from the frames that count for it."""
    rows, count = [], len(scores.values) - len(benchmark.measures)
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


def format_table(table: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Format the table as text: objects, means of sequences with several objects, the mean over all.

    The benchmark's summary follows if it differs from that mean.
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
    text = format_rows(rows)
    others = {key: value for key, value in table.items() if key != "sequences"}
    extra = [f"{key} {format_value(value)}" for key, value in others.items() if means.get(key, ...) != value]
    return f"{text}\n\n{'  '.join(extra)}" if extra else text


def format_value(value: float | None) -> str:
    """Return a value of a table as text; "-" if it is undefined."""
    return "-" if value is None else f"{value:.1f}"


def compare_tables(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Format the summaries of several tables as text, one row per name of a table."""
    columns = dict.fromkeys(key for table in tables.values() for key in table if key != "sequences")
    rows = [["results", *columns]]
    for name, table in tables.items():
        rows.append([name, *(format_value(table.get(key)) for key in columns)])
    return format_rows(rows)


def format_rows(rows: Sequence[Sequence[str]]) -> str:
    """Return a table as text, with a line below its first row."""
    title, *others = align_columns(rows, right=1)
    return "\n".join([title, "-" * len(title), *others])
