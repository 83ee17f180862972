"""Scores of sequences as a table: for `scores.json` in percent, and as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.davis import SequenceScores
from evaluation.statistics import summarise

COLUMNS = ("J&F", "J", "J-Recall", "J-Decay", "F", "F-Recall", "F-Decay")

Row = dict[str, float]
"""A value in percent for each of `COLUMNS`."""


def object_rows(scores: SequenceScores) -> list[Row]:
    """One row for each object of a sequence, object 1 first."""
    rows = []
    for region, contour in zip(scores.region, scores.contour, strict=True):
        j, f = summarise(region), summarise(contour)
        fractions = ((j.mean + f.mean) / 2, j.mean, j.recall, j.decay, f.mean, f.recall, f.decay)
        rows.append({column: 100 * value for column, value in zip(COLUMNS, fractions, strict=True)})
    return rows


def mean_row(rows: Sequence[Row]) -> Row:
    """The mean of every column.

    Raises:
        ValueError: no row.
    """
    if not rows:
        raise ValueError("the mean of no row has no value; score at least one object")
    return {column: sum(row[column] for row in rows) / len(rows) for column in COLUMNS}


def scores_table(scores: Mapping[str, SequenceScores]) -> dict[str, Any]:
    """The content of `scores.json`: the columns over all objects, and ``sequences`` with their ``objects``.

    The means at the top are over the objects of all sequences, not over sequences, as DAVIS does.

    Raises:
        ValueError: no sequence.
    """
    by_sequence = {name: object_rows(scores[name]) for name in sorted(scores)}
    everything = [row for rows in by_sequence.values() for row in rows]
    table: dict[str, Any] = dict(mean_row(everything))
    table["sequences"] = {
        name: {**mean_row(rows), "objects": {str(index): row for index, row in enumerate(rows, start=1)}}
        for name, rows in by_sequence.items()
    }
    return table


def format_table(table: Mapping[str, Any]) -> str:
    """The table as lines of text: every object, the mean of every sequence with several, the mean of all."""
    lines: list[tuple[str, str, Mapping[str, float]]] = []
    count = 0
    for name, sequence in table["sequences"].items():
        objects = sequence["objects"]
        count += len(objects)
        lines += [(name, identity, row) for identity, row in objects.items()]
        if len(objects) > 1:
            lines.append((name, "mean", sequence))
    lines.append((f"mean of {count} object{'s' if count != 1 else ''}", "", table))
    width = max(len(name) for name, _, _ in lines)
    header = f"{'sequence':{width}}  object" + "".join(f"{column:>10}" for column in COLUMNS)
    text = [header, "-" * len(header)]
    for name, identity, row in lines:
        text.append(f"{name:{width}}  {identity:>6}" + "".join(f"{row[column]:10.1f}" for column in COLUMNS))
    return "\n".join(text)
