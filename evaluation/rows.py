"""Rows of score tables, one per object, and their means, in percent."""

from collections.abc import Collection, Sequence

import numpy as np

RECALL_THRESHOLD = 0.5
COLUMNS = ("J&F", "J", "J-Recall", "J-Decay", "F", "F-Recall", "F-Decay")
Row = dict[str, float]
"""Value in percent by column."""
Summary = dict[str, float | None]
"""Values in percent over all objects; None if undefined."""


def decay(values: np.ndarray) -> float:
    """Return the mean of the first quarter of the values, one per frame, minus the mean of the last quarter.

    The frame at a quarter's end belongs to both quarters. The reference evaluator differs from 256 frames on, where its
    8-bit indices overflow.
    """
    # indices of the quarters' ends, halves rounded up
    ends = [(quarter * (len(values) - 1) + 2) // 4 for quarter in range(5)]
    return float(values[ends[0] : ends[1] + 1].mean() - values[ends[3] : ends[4] + 1].mean())


def compute_statistics(name: str, values: np.ndarray) -> Row:
    """Return mean, recall and decay of one metric (n,) of an object in temporal order, in percent."""
    recall = (values > RECALL_THRESHOLD).mean()
    return {
        name: 100 * float(values.mean()),
        f"{name}-Recall": 100 * float(recall),
        f"{name}-Decay": 100 * decay(values),
    }


def make_davis_row(region: np.ndarray, contour: np.ndarray) -> Row:
    """Return the `COLUMNS` of one object from its J and F, (n,) each."""
    both = 50 * float(region.mean() + contour.mean())
    return {"J&F": both, **compute_statistics("J", region), **compute_statistics("F", contour)}


def mean_row(rows: Sequence[Row]) -> Row:
    """Return the mean of every column over the rows that have it."""
    columns = dict.fromkeys(column for row in rows for column in row)
    return {column: value for column in columns if (value := column_mean(rows, column)) is not None}


def column_mean(rows: Sequence[Row], column: str) -> float | None:
    """Return the mean of one column over the rows that have it; None without any."""
    values = [row[column] for row in rows if column in row]
    return sum(values) / len(values) if values else None


def select_rows(rows: Sequence[Row], seen: Sequence[bool | None], group: bool) -> list[Row]:
    """Return the rows of the objects that are seen in training, or with ``group`` false, of those that are not."""
    return [row for row, is_seen in zip(rows, seen, strict=True) if is_seen is group]


def mean_or_none(values: Collection[float | None]) -> float | None:
    """Return the mean; None if a value is undefined (None)."""
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if len(numbers) == len(values) else None
