"""Table and plot of long runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from scipy.ndimage import median_filter

from aotlab.utils.files import atomic_path

WINDOW = 200
"""frames of the two windows that are compared: the second of the video, after memory has filled, and the last"""
MIB = 2**20
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""colours of the policies: distinct for colour-blind people (Okabe and Ito)"""
SMOOTHED = 51
"""frames of the running median in the plot"""
STEEP = 8
"""ratio of the largest to the smallest value from which an axis is logarithmic"""
HEADING = (
    "policy", "frames", "ms, first", "last", "ratio", "CPU ratio", "resident MiB, first", "last", "ratio",
    "bank MiB", "frames kept",
)  # fmt: skip
Results = Mapping[str, Sequence[Sequence[float]]]
"""samples by policy: seconds, CPU seconds, resident bytes, bytes of the bank, frames kept"""


def windows(samples: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the medians of the samples' five figures in the second window of frames and in the last.

    A window has `WINDOW` frames, or a third of all if these are fewer.
    """
    table = np.array(samples, dtype=float).reshape(len(samples), 5)
    window = max(min(WINDOW, len(samples) // 3), 1)
    return np.median(table[window : 2 * window], axis=0), np.median(table[-window:], axis=0)


def format_table(results: Results) -> str:
    """Return a Markdown table with a line for each policy; one that died has no figures."""
    lines = ["| " + " | ".join(HEADING) + " |", "|---" * len(HEADING) + "|"]
    for name, samples in results.items():
        if len(samples) < 3:
            lines.append(f"| {name} | {len(samples)} |" + " - |" * (len(HEADING) - 2))
            continue
        first, last = windows(samples)
        time, cpu, resident, _, _ = last / np.maximum(first, 1e-9)
        lines.append(
            f"| {name} | {len(samples)} | {1e3 * first[0]:.1f} | {1e3 * last[0]:.1f} | {time:.3f} | {cpu:.3f} "
            f"| {first[2] / MIB:.1f} | {last[2] / MIB:.1f} | {resident:.3f} | {samples[-1][3] / MIB:.1f} "
            f"| {samples[-1][4]:.0f} |"
        )
    return "\n".join(lines)


def draw(results: Results, path: Path, title: str) -> None:
    """Draw time, resident memory and long-term memory by frame: an image of 1600×560 pixels.

    Raises:
        InputError: the file cannot be written.
    """
    figure = Figure(figsize=(16, 5.6), dpi=100, facecolor="white")
    panels = figure.subplots(1, 3)
    figure.subplots_adjust(left=0.045, right=0.985, bottom=0.1, top=0.77, wspace=0.16)
    _draw_panel(panels[0], results, "Time per frame, ms", 0, 1e3)
    _draw_panel(panels[1], results, "Resident memory, MiB", 2, 1 / MIB)
    _draw_panel(panels[2], results, "Long-term memory with its room, MiB", 3, 1 / MIB)
    figure.text(0.045, 0.925, title, size=15, weight="bold")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="upper left", bbox_to_anchor=(0.036, 0.92), ncol=len(names) or 1, frameon=False
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def _draw_panel(axes: Axes, results: Results, title: str, column: int, scale: float) -> None:
    lowest, highest = np.inf, 0.0
    for index, (name, samples) in enumerate(results.items()):
        values = scale * np.array([sample[column] for sample in samples], dtype=float)
        if column != 3 and len(values):
            values = median_filter(values, SMOOTHED, mode="nearest")
        # Lines may coincide: the later ones are thinner.
        axes.plot(
            values, color=COLOURS[index % len(COLOURS)], linewidth=max(3.4 - 0.6 * index, 1.2), label=name
        )
        lowest, highest = min([lowest, *values]), max([highest, *values])
    if highest > STEEP * lowest > 0:
        axes.set_yscale("log")
        axes.set_ylim(lowest / 1.3, highest * 1.3)
        axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(0, 1.08 * highest or 1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_title(title, loc="left", size=11, weight="bold", pad=8)
    axes.set_xlabel("frame")
    axes.grid(axis="y", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
