"""Scores of sequences as a table: for `scores.json` in percent, as CSV, and as text for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aotlab.evaluation.sequence_scores import SequenceScores
from aotlab.evaluation.statistics import summarise

COLUMNS = ("J&F", "J", "J-Recall", "J-Decay", "F", "F-Recall", "F-Decay")

Row = dict[str, float]
"""A value in percent for each column."""

Summary = dict[str, float | None]
"""Values in percent over all objects; None for what is not defined."""


@dataclass(frozen=True)
class TableLayout:
    """What a benchmark says of its objects, and of all together."""

    columns: tuple[str, ...]
    row: Callable[..., Row]
    """(n,) values of J, of F and of what else the rules measure of one object over its frames to its row; a column that
    means nothing for the object is left out"""
    summary: Callable[[Sequence[Row], Sequence[bool | None]], Summary]
    """all rows and the group of each (seen or not) to the benchmark's own numbers"""


def measure_row(region: np.ndarray, contour: np.ndarray) -> Row:
    """The `COLUMNS` of one object, from its (n,) values of J and F."""
    j, f = summarise(region), summarise(contour)
    fractions = ((j.mean + f.mean) / 2, j.mean, j.recall, j.decay, f.mean, f.recall, f.decay)
    return {column: 100 * value for column, value in zip(COLUMNS, fractions, strict=True)}


def mean_row(rows: Sequence[Row]) -> Row:
    """The mean of every column, over the rows that have it.

    Raises:
        ValueError: no row.
    """
    if not rows:
        raise ValueError("the mean of no row has no value; score at least one object")
    found: dict[str, list[float]] = {}
    for row in rows:
        for column, value in row.items():
            found.setdefault(column, []).append(value)
    return {column: sum(values) / len(values) for column, values in found.items()}


def mean_of(rows: Sequence[Row], column: str) -> float | None:
    """The mean of one column; None without rows."""
    return sum(row[column] for row in rows) / len(rows) if rows else None


def plain_summary(rows: Sequence[Row], seen: Sequence[bool | None]) -> Summary:
    """The means over all objects, whatever their group, as DAVIS does."""
    return dict(mean_row(rows))


DAVIS_TABLE = TableLayout(COLUMNS, measure_row, plain_summary)


def object_rows(scores: SequenceScores, layout: TableLayout = DAVIS_TABLE) -> list[Row]:
    """One row for each object of a sequence, from the frames that count for it."""
    rows = []
    for index, region in enumerate(scores.region):
        counted = ~np.isnan(region)
        others = (values[index][counted] for values in scores.others)
        rows.append(layout.row(region[counted], scores.contour[index][counted], *others))
    return rows


def scores_table(scores: Mapping[str, SequenceScores], layout: TableLayout = DAVIS_TABLE) -> dict[str, Any]:
    """The content of `scores.json`: the benchmark's numbers, and ``sequences`` with their ``objects``.

    Means at the top are over the objects of all sequences, not over sequences.

    Raises:
        ValueError: no sequence.
    """
    by_sequence = {name: object_rows(scores[name], layout) for name in sorted(scores)}
    rows = [row for part in by_sequence.values() for row in part]
    seen = [group for name in by_sequence for group in scores[name].seen or (None,) * len(scores[name].ids)]
    table: dict[str, Any] = dict(layout.summary(rows, seen))
    table["sequences"] = {
        name: {**mean_row(part), "objects": dict(zip(map(str, scores[name].ids), part, strict=True))}
        for name, part in by_sequence.items()
    }
    return table


def table_lines(table: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, float]]]:
    """(sequence, object, row) of every object, and (sequence, "mean", row) of every sequence with several."""
    lines: list[tuple[str, str, Mapping[str, float]]] = []
    for name, sequence in table["sequences"].items():
        lines += [(name, identity, row) for identity, row in sequence["objects"].items()]
        if len(sequence["objects"]) > 1:
            lines.append((name, "mean", sequence))
    return lines


def format_table(table: Mapping[str, Any], layout: TableLayout = DAVIS_TABLE) -> str:
    """The table as lines of text: every object, every sequence with several, the mean of several objects.

    The benchmark's own numbers follow where they are something else.
    """
    lines = table_lines(table)
    count = sum(identity != "mean" for _, identity, _ in lines)
    objects = mean_row([dict(row) for name, identity, row in _object_lines(table)])
    if count > 1:
        lines.append((f"mean of {count} objects", "", objects))
    width = max(len(name) for name in ("sequence", *(name for name, _, _ in lines)))
    header = f"{'sequence':{width}}  object" + _aligned(layout.columns, layout.columns)
    text = [header, "-" * len(header)]
    for name, identity, row in lines:
        values = [f"{row[column]:.1f}" if column in row else "-" for column in layout.columns]
        text.append(f"{name:{width}}  {identity:>6}{_aligned(values, layout.columns)}")
    extra = {
        key: value for key, value in table.items() if key != "sequences" and objects.get(key, ...) != value
    }
    if extra:
        parts = (f"{key} {'-' if value is None else f'{value:.1f}'}" for key, value in extra.items())
        text += ["", "  ".join(parts)]
    return "\n".join(text)


def csv_text(table: Mapping[str, Any], layout: TableLayout = DAVIS_TABLE) -> str:
    """The table as CSV: a row for each object and each sequence ("mean"), then one for all; percent, 3 decimals."""
    summary = [key for key in table if key != "sequences" and key not in layout.columns]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["sequence", "object", *layout.columns, *summary])
    for name, sequence in table["sequences"].items():
        for identity, row in (*sequence["objects"].items(), ("mean", sequence)):
            writer.writerow([name, identity, *_cells(row, layout.columns), *[""] * len(summary)])
    writer.writerow(["all", "mean", *_cells(table, (*layout.columns, *summary))])
    return out.getvalue()


def worst_objects(table: Mapping[str, Any], count: int, column: str) -> list[tuple[str, int, float]]:
    """(sequence, object, value) of the ``count`` objects lowest in ``column``, worst first."""
    every = [(name, int(identity), row[column]) for name, identity, row in _object_lines(table)]
    return sorted(every, key=lambda entry: (entry[2], entry[0], entry[1]))[:count]


def _object_lines(table: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, float]]]:
    """`table_lines` without those of whole sequences."""
    return [line for line in table_lines(table) if line[1] != "mean"]


def _aligned(values: Sequence[str], columns: Sequence[str]) -> str:
    """Values flush right in columns wide enough for their names."""
    return "".join(
        f"{value:>{max(10, len(column) + 2)}}" for value, column in zip(values, columns, strict=True)
    )


def _cells(row: Mapping[str, float | None], columns: Sequence[str]) -> list[str]:
    values = (row.get(column) for column in columns)
    return ["" if value is None else f"{value:.3f}" for value in values]
