"""Paired comparison of two systems, each of one or several runs on the same sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np

from aotlab.evaluation.benchmark import Benchmark
from aotlab.evaluation.rows import Row, column_mean, mean_row
from aotlab.evaluation.tables import find_best, format_value, list_object_rows
from aotlab.utils.files import atomic_path
from aotlab.utils.tables import TableFormat, format_rows
from aotlab.utils.text import format_count

RESAMPLES = 10_000
SHARE = 0.95
"""Share of the resampled means that the interval holds."""
MIN_SEQUENCES = 10
"""Number of sequences below which a comparison warns that its intervals are unreliable."""


def select_columns(benchmark: Benchmark) -> list[str]:
    """Return the columns of J and F, without their recall and decay, and those of added measures."""
    means = [column for column in benchmark.columns if "-" not in column]
    return [*(column for column in means if column.partition("_")[0] in ("J&F", "J", "F")), *benchmark.measures]


def compare_systems(
    first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]], columns: Sequence[str]
) -> dict[str, Any]:
    """Compare two systems by their tables of `make_scores_table`, one per run, of the same sequences and objects.

    The scores of a system are the means over its runs. Differences are those of the second minus the first, in percent.

    Returns:
        ``columns``: by column, the means over all objects of both systems (``first``, ``second``) and of each run
        (``first_runs``, ``second_runs``), the ``difference``, and its 95 % ``interval`` by a bootstrap over sequences,
        None with a single one. ``better``, ``worse`` and ``equal``: numbers of sequences by the difference in the first
        column. ``warning``: sentence on too few sequences; None with at least `MIN_SEQUENCES`. ``resamples``: number
        of resampled means. ``level``: share of them in the interval. ``sequences``: the differences of each sequence
        and of its ``objects``.
    """
    before, after = average_runs(first), average_runs(second)
    differences: dict[str, dict[str, Row]] = {}
    for (sequence, name), row in before.items():
        other = after[sequence, name]
        differences.setdefault(sequence, {})[name] = {
            column: other[column] - row[column] for column in columns if column in row and column in other
        }
    means = {sequence: mean_row([*objects.values()]) for sequence, objects in differences.items()}
    signs = [np.sign(round(row[columns[0]], 9)) for row in means.values() if columns[0] in row]
    warning = f"{format_count(len(means), 'sequence')}: too few for a reliable interval"
    summary = {}
    for column in columns:
        by_sequence = [[row[column] for row in objects.values() if column in row] for objects in differences.values()]
        first_mean, second_mean = (mean_row([*rows.values()]).get(column) for rows in (before, after))
        if first_mean is not None and second_mean is not None:
            summary[column] = {
                "first": first_mean,
                "second": second_mean,
                "first_runs": average_objects(first, column),
                "second_runs": average_objects(second, column),
                "difference": second_mean - first_mean,
                "interval": bootstrap_mean([values for values in by_sequence if values]),
            }
    return {
        "columns": summary,
        "better": signs.count(1),
        "worse": signs.count(-1),
        "equal": signs.count(0),
        "warning": warning if len(means) < MIN_SEQUENCES else None,
        "resamples": RESAMPLES,
        "level": SHARE,
        "sequences": {name: {**means[name], "objects": objects} for name, objects in differences.items()},
    }


def average_runs(tables: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Row]:
    """Return the row of each (sequence, object): the mean over the tables of several runs."""
    rows: dict[tuple[str, str], list[Row]] = {}
    for table in tables:
        for sequence, name, row in list_object_rows(table):
            rows.setdefault((sequence, name), []).append(dict(row))
    return {key: mean_row(values) for key, values in rows.items()}


def average_objects(tables: Sequence[Mapping[str, Any]], column: str) -> list[float | None]:
    """Return the mean of a column over the objects of each table."""
    return [column_mean([dict(row) for _, _, row in list_object_rows(table)], column) for table in tables]


def bootstrap_mean(groups: Sequence[Sequence[float]], share: float = SHARE) -> list[float] | None:
    """Return the percentile interval of the mean of all values; whole groups are resampled. None for a single group."""
    if len(groups) < 2:
        return None
    sums = np.array([[sum(group), len(group)] for group in groups])
    draws = np.random.default_rng(0).multinomial(len(groups), np.full(len(groups), 1 / len(groups)), RESAMPLES)
    totals = draws @ sums
    tail = 50 * (1 - share)
    return np.percentile(totals[:, 0] / totals[:, 1], [tail, 100 - tail]).tolist()


def format_means(benchmark: Benchmark, content: Mapping[str, Any], style: TableFormat = "text") -> str:
    """Format the means of `compare_systems`; the better one is bold."""
    rows, best = [["", "first", "second", "difference", f"{SHARE:.0%} interval"]], set()
    for column, entry in content["columns"].items():
        better = find_best(benchmark, [[entry["first"]], [entry["second"]]], [column])
        best |= {(len(rows), 1 + system) for system, _ in better}
        interval = "-" if entry["interval"] is None else "{:+.1f} to {:+.1f}".format(*entry["interval"])
        systems = (_format_system(entry[system], entry[f"{system}_runs"]) for system in ("first", "second"))
        rows.append([column, *systems, f"{entry['difference']:+.1f}", interval])
    return format_rows(rows, style, best=best)


def format_differences(content: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Format the differences of `compare_systems` as text, of sequences and objects, worst first."""
    sequences = content["sequences"]
    counts = ", ".join(f"{word} on {content[word]}" for word in ("better", "worse", "equal"))
    text = [f"warning: {content['warning']}"] * (content["warning"] is not None)
    text += ["", f"the second is {counts} of {format_count(len(sequences), 'sequence')}", ""]
    rows = [["sequence", "object", *columns]]
    for name, sequence in sorted(sequences.items(), key=lambda item: item[1].get(columns[0], 0.0)):
        lines = [(name, *item) for item in sequence["objects"].items()]
        lines += [(name, "mean", sequence)] * (len(lines) > 1)
        rows += [
            [name, item, *(f"{row[column]:+.1f}" if column in row else "-" for column in columns)]
            for name, item, row in lines
        ]
    return "\n".join([*text, format_rows(rows)])


def _format_system(mean: float, runs: Sequence[float]) -> str:
    """Return the mean of a system's runs, with their standard deviation if there are several."""
    return format_value(mean) + (f" ± {stdev(runs):.1f}" if len(runs) > 1 else "")


def plot_comparison(path: Path, content: Mapping[str, Any], column: str) -> None:
    """Plot the result of `compare_systems`: each sequence's difference in a column, and the means with intervals."""
    from matplotlib.figure import Figure

    bars = sorted((row[column], name) for name, row in content["sequences"].items() if column in row)
    figure = Figure(figsize=(9, 2 + 0.22 * len(bars)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    left.barh([name for _, name in bars], [value for value, _ in bars])
    left.set_xlabel(f"second minus first in {column}, in percent")
    for name, entry in content["columns"].items():
        right.plot(entry["interval"] or [entry["difference"]] * 2, [name, name], color="C0")
        right.plot(entry["difference"], name, "o", color="C0")
    right.set_xlabel(f"difference of the means, {SHARE:.0%} interval")
    right.invert_yaxis()
    left.axvline(0, color="black", linewidth=0.8)
    right.axvline(0, color="black", linewidth=0.8)
    figure.suptitle(content["warning"])
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower())
