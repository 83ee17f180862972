"""What long runs took, as figures, a table and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aotlab.utils.files import atomic_path
from benchmarks.long_run import Course, Sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WINDOW = 200
"""frames at the beginning and at the end that are compared; the first so many, while memory fills up, are left out"""
MIB = 2**20
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""of the policies, in turn: colours that colour-blind people tell apart (Okabe and Ito)"""
INK, GREY, GROUND = "#222222", "#7a7a7a", "#eef2f6"
SMOOTHED = 51
"""frames of the running median in the picture"""
STEEP = 8
"""where the largest value is so many times the smallest, the axis is logarithmic"""


@dataclass(frozen=True)
class Change:
    """Medians over two windows of frames."""

    first: float
    last: float

    @property
    def ratio(self) -> float:
        """Last to first; nan where the first is 0."""
        return self.last / self.first if self.first else float("nan")


@dataclass(frozen=True)
class Summary:
    """How a run was after its memory had filled up, and at its end."""

    window: int
    """frames: the second window of so many is compared with the last"""
    seconds: Change
    cpu_seconds: Change
    resident: Change
    bank: Change


def summarize(samples: Sequence[Sample]) -> Summary | None:
    """Compare the second window of frames with the last, by medians, which a busy machine moves little.

    A window has `WINDOW` frames, or a third of them where they are fewer; None for less than three frames.
    """
    window = min(WINDOW, len(samples) // 3)
    if not window:
        return None
    table = np.array(samples, dtype=float)
    first, last = np.median(table[window : 2 * window], axis=0), np.median(table[-window:], axis=0)
    changes = {name: Change(first[index], last[index]) for index, name in enumerate(Sample._fields)}
    return Summary(window, *(changes[name] for name in ("seconds", "cpu_seconds", "resident", "bank")))


def format_table(courses: Mapping[str, Course]) -> str:
    """A Markdown table with a line for each policy; below it, what ended early."""
    heading = (
        "policy",
        "frames",
        "ms, first",
        "last",
        "ratio",
        "CPU ratio",
        "resident MiB, first",
        "last",
        "ratio",
    )
    lines = [[*heading, "bank MiB", "frames kept"]]
    for name, course in courses.items():
        summary, count = summarize(course.samples), len(course.samples)
        if summary is None:
            lines.append([name, str(count), *["-"] * (len(lines[0]) - 2)])
            continue
        lines.append([name, str(count), *_cells(summary, course.samples[-1])])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = [
        [f"{cell:{width}}" if index == 0 else f"{cell:>{width}}" for index, (cell, width) in pairs]
        for pairs in (list(enumerate(zip(line, widths, strict=True))) for line in lines)
    ]
    rows.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    text = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(text + [f"{name}: {course.ended}" for name, course in courses.items() if course.ended])


def _cells(summary: Summary, newest: Sample) -> list[str]:
    """The figures of a line."""
    seconds, resident = summary.seconds, summary.resident
    return [
        f"{1000 * seconds.first:.1f}", f"{1000 * seconds.last:.1f}", f"{seconds.ratio:.3f}",
        f"{summary.cpu_seconds.ratio:.3f}",
        f"{resident.first / MIB:.1f}", f"{resident.last / MIB:.1f}", f"{resident.ratio:.3f}",
        f"{newest.bank / MIB:.1f}", str(newest.kept),
    ]  # fmt: skip


def as_json(courses: Mapping[str, Course]) -> dict[str, Any]:
    """All samples by policy and kind, with the medians of both windows and what ended early."""
    content = {}
    for name, course in courses.items():
        summary = summarize(course.samples)
        kinds = zip(*course.samples, strict=True) if course.samples else ([] for _ in Sample._fields)
        samples = {
            kind: [round(value, 6) for value in values]
            for kind, values in zip(Sample._fields, kinds, strict=True)
        }
        medians = {}
        if summary is not None:
            medians = {
                kind: {"first": change.first, "last": change.last}
                for kind in ("seconds", "cpu_seconds", "resident", "bank")
                for change in [getattr(summary, kind)]
            }
        window = None if summary is None else summary.window
        content[name] = {"ended": course.ended, "window": window, "medians": medians, **samples}
    return content


def draw_courses(courses: Mapping[str, Course], picture: Path, title: str) -> None:
    """Draw running medians of time and resident memory, and long-term memory, by frame: a PNG of 1600×560 pixels.

    Args:
        courses: by policy; those without frames have no line.
        picture: the file.
        title: what was run on what.

    Raises:
        InputError: the picture cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 5.6), dpi=100, facecolor="white")
    panels = figure.subplots(1, 3)
    figure.subplots_adjust(left=0.045, right=0.985, bottom=0.1, top=0.77, wspace=0.16)
    _draw_panel(panels[0], courses, "Time per frame, ms", "seconds", 1e3)
    _draw_panel(panels[1], courses, "Resident memory, MiB", "resident", 1 / MIB)
    _draw_panel(panels[2], courses, "Long-term memory with its room, MiB", "bank", 1 / MIB)
    figure.text(0.045, 0.925, title, size=15, weight="bold", color=INK)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="upper left", bbox_to_anchor=(0.036, 0.92), ncol=len(names) or 1, frameon=False,
        fontsize=11, handlelength=1.4, columnspacing=1.8,
    )  # fmt: skip
    with atomic_path(picture) as temporary:
        figure.savefig(temporary)


def _draw_panel(axes: Axes, courses: Mapping[str, Course], title: str, kind: str, scale: float) -> None:
    """One kind of sample of all courses; what other things of the machine disturb is smoothed."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
    from scipy.ndimage import median_filter

    lowest, highest = np.inf, 0.0
    for index, (name, course) in enumerate(courses.items()):
        values = scale * np.array([getattr(sample, kind) for sample in course.samples], dtype=float)
        if kind != "bank" and len(values):
            values = median_filter(values, SMOOTHED, mode="nearest")
        # where lines lie on each other, the thinner upper ones leave the lower ones to be seen
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
    axes.set_xlim(0, max([len(course.samples) for course in courses.values()] + [1]))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_title(title, loc="left", size=11, weight="bold", color=INK, pad=8)
    axes.set_xlabel("frame", size=9.5, color=GREY)
    axes.set_facecolor(GROUND)
    axes.tick_params(which="both", colors=GREY, labelsize=9.5, length=0)
    axes.grid(axis="y", color="white", linewidth=1.2)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
