"""Tables of scores as `scores.json` and text, in percent."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aotlab.evaluation.sequence_scores import SequenceScores
from aotlab.utils.text import align_columns

RECALL_THRESHOLD = 0.5
COLUMNS = ("J&F", "J", "J-Recall", "J-Decay", "F", "F-Recall", "F-Decay")


def nanmean(values: np.ndarray) -> float:
    """Return the mean of (N,) values without NaN; NaN, without numpy's warning, if all are NaN."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def recall(values: np.ndarray) -> float:
    """Return the fraction of (N,) values above `RECALL_THRESHOLD`; NaN counts as below."""
    return float((values > RECALL_THRESHOLD).mean()) if values.size else float("nan")


def decay(values: np.ndarray) -> float:
    """Return the mean of the first quarter of the (N,) values minus the mean of the last; quarters share end frames.

    Indices are Python integers; the reference evaluator's 8-bit indices overflow from 256 frames on.
    """
    last = len(values) - 1
    if last < 0:
        return float("nan")
    # quarter points, halves rounded up
    ends = [(quarter * last + 2) // 4 for quarter in range(5)]
    return nanmean(values[ends[0] : ends[1] + 1]) - nanmean(values[ends[3] : ends[4] + 1])


Row = dict[str, float]
"""Value in percent by column."""

Summary = dict[str, float | None]
"""Values in percent over all objects; None if undefined."""


@dataclass(frozen=True)
class TableLayout:
    """Columns of a benchmark's table, and functions that fill them."""

    columns: tuple[str, ...]
    row: Callable[..., Row]
    """Function from the values of J, F and further metrics of an object, (n,) each, to its row."""
    summary: Callable[[Sequence[Row], Sequence[bool | None]], Summary]
    """Function from all rows, and whether the category of each occurs in training, to the benchmark's summary."""


def compute_statistics(name: str, values: np.ndarray) -> Row:
    """Return mean, recall and decay of one metric (n,) of an object in temporal order, in percent."""
    return {name: 100 * nanmean(values), f"{name}-Recall": 100 * recall(values), f"{name}-Decay": 100 * decay(values)}


def make_davis_row(region: np.ndarray, contour: np.ndarray) -> Row:
    """Return the `COLUMNS` of one object from its J and F, (n,) each."""
    both = 50 * (nanmean(region) + nanmean(contour))
    return {"J&F": both, **compute_statistics("J", region), **compute_statistics("F", contour)}


def mean_row(rows: Sequence[Row]) -> Row:
    """Return the mean of every column over the rows that have it."""
    columns = dict.fromkeys(column for row in rows for column in row)
    return {column: value for column in columns if (value := column_mean(rows, column)) is not None}


def column_mean(
    rows: Sequence[Row], column: str, seen: Sequence[bool | None] = (), group: bool | None = None
) -> float | None:
    """Return the mean of one column over the rows that have it, of one group if given; None without rows."""
    if group is not None:
        rows = [row for row, is_seen in zip(rows, seen, strict=True) if is_seen is group]
    values = [row[column] for row in rows if column in row]
    return sum(values) / len(values) if values else None


def mean_or_none(values: Collection[float | None]) -> float | None:
    """Return the mean; None if a value is undefined (None)."""
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if len(numbers) == len(values) else None


DAVIS_TABLE = TableLayout(COLUMNS, make_davis_row, summary=lambda rows, seen: dict(mean_row(rows)))


def make_object_rows(scores: SequenceScores, layout: TableLayout) -> list[Row]:
    """Return one row per object of a sequence, from the frames that count for it."""
    rows = []
    for index, region in enumerate(scores.region):
        scored = ~np.isnan(region)
        row = layout.row(*(values[index][scored] for values in scores.values))
        rows.append({column: row[column] for column in layout.columns if column in row})
    return rows


def make_scores_table(scores: Mapping[str, SequenceScores], layout: TableLayout = DAVIS_TABLE) -> dict[str, Any]:
    """Return the content of `scores.json`: the benchmark's summary, and ``sequences`` with their ``objects``.

    Means at the top are over the objects of all sequences, not over sequences.
    """
    by_sequence = {name: make_object_rows(scores[name], layout) for name in sorted(scores)}
    rows = [row for part in by_sequence.values() for row in part]
    seen = [item.seen_in_training for name in by_sequence for item in scores[name].objects]
    table: dict[str, Any] = dict(layout.summary(rows, seen))
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


def format_table(table: Mapping[str, Any], layout: TableLayout = DAVIS_TABLE) -> str:
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
    rows = [["sequence", "object", *layout.columns]]
    for name, item, row in lines:
        rows.append([name, item, *(format_value(row.get(key)) for key in layout.columns)])
    text = _format_rows(rows)
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
    return _format_rows(rows)


def _format_rows(rows: Sequence[Sequence[str]]) -> str:
    """Return a table as text, with a line below its first row."""
    title, *others = align_columns(rows, right=1)
    return "\n".join([title, "-" * len(title), *others])


def list_worst_objects(table: Mapping[str, Any], count: int, column: str) -> list[tuple[str, str, float]]:
    """Return (sequence, object, value) of the ``count`` lowest objects in ``column``, worst first."""
    values = [(name, object_name, row[column]) for name, object_name, row in list_object_rows(table)]
    return sorted(values, key=lambda entry: (entry[2], entry[0], entry[1]))[:count]
