"""Plot of a comparison of two systems: the difference of each sequence and object, and the means with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aotlab.evaluation.comparison import SHARE
from aotlab.utils.files import atomic_path
from aotlab.utils.text import format_count, shorten

BETTER, WORSE, DARK = "#2a78b5", "#d1582b", "#333333"
MAX_NAMES = 60
"""Largest number of sequences whose names are shown."""


def plot_comparison(
    path: Path, content: Mapping[str, Any], columns: Sequence[str], first_title: str, second_title: str
) -> None:
    """Plot the result of `compare_systems` as PNG, PDF or SVG, by the suffix of the path. Needs matplotlib.

    The left part shows the difference of each sequence in the first column as a bar, with a dot for each object; the
    right part, the difference of each column with its interval.
    """
    from matplotlib.figure import Figure

    column = columns[0]
    sequences = [(name, entry) for name, entry in content["sequences"].items() if column in entry]
    sequences.sort(key=lambda item: item[1][column])
    has_names = len(sequences) <= MAX_NAMES
    height = 1.6 + 0.22 * len(sequences) if has_names else 7.0
    figure = Figure(figsize=(9, max(3.0, height)), layout="constrained")
    bars, means = figure.subplots(1, 2, width_ratios=(3, 2))
    values = [entry[column] for _, entry in sequences]
    bars.barh(range(len(values)), values, color=[BETTER if value > 0 else WORSE for value in values], alpha=0.5)
    dots = [
        (row[column], index)
        for index, (_, entry) in enumerate(sequences)
        for row in entry["objects"].values()
        if column in row
    ]
    bars.scatter(*zip(*dots, strict=True), s=10, color=DARK, zorder=2)
    bars.set_yticks(range(len(values)) if has_names else [], [name for name, _ in sequences] if has_names else [])
    bars.set_xlabel(f"difference in {column}, in percent (dots: objects)")
    counts = ", ".join(f"{content[word]} {word}" for word in ("better", "worse", "equal"))
    bars.set_title(f"{format_count(len(values), 'sequence')}: {counts}", fontsize=10)
    entries = content["columns"]
    for index, entry in enumerate(entries.values()):
        if entry["interval"] is not None:
            means.plot(entry["interval"], (index, index), color=DARK)
        means.plot(entry["difference"], index, "o", color=BETTER if entry["difference"] > 0 else WORSE)
    labels = [f"{name}\n{entry['first']:.1f} → {entry['second']:.1f}" for name, entry in entries.items()]
    means.set_yticks(range(len(labels)), labels)
    means.set_ylim(len(labels) - 0.5, -0.5)
    means.set_xlabel(f"difference of the means, {SHARE:.0%} interval")
    means.set_title("all objects", fontsize=10)
    for axes in (bars, means):
        axes.axvline(0, color=DARK, linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    title = f"{shorten(second_title)} minus {shorten(first_title)}"
    figure.suptitle("\n".join(filter(None, [title, content["warning"]])), fontsize=11)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=120)
