"""Plot of a training log: losses, IoU, validation scores and learning rates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aotlab.engine.training.journal.log_lines import Line, has_step, phase_starts, read_lines
from aotlab.utils.files import atomic_path, real_path
from aotlab.utils.numbers import Range

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {
    "loss": ("loss", "tracked_loss", "reference_loss"),
    "IoU of training clips": ("iou",),
    "validation, percent": ("J&F", "J", "F"),
    "learning rate": ("lr", "encoder_lr"),
}
"""keys of log lines by title"""
SMOOTHED = 20
"""number of points from which a running mean is drawn"""
FINITE = Range(-1e30, 1e30)


def draw_curves(log: Path, image: Path) -> None:
    """Draw the curves of a run: 1200×800 pixels.

    Args:
        log: ``log.jsonl`` of a run; lines may lack any key.

    Raises:
        InputError: the plot cannot be written.
    """
    from matplotlib.figure import Figure

    lines = [line for line in read_lines(log) if has_step(line)]
    starts = phase_starts(lines)
    figure = Figure(figsize=(12, 8), dpi=100, layout="constrained")
    figure.suptitle(real_path(log).parent.name)
    for axes, (title, keys) in zip(figure.subplots(2, 2).flat, PANELS.items(), strict=True):
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.grid(color="#e6e6e6")
        for phase, start in starts.items():
            axes.axvline(start, color="#999999", linewidth=0.8)
            axes.annotate(phase, (start, 1), (3, -10), xycoords=("data", "axes fraction"),
                          textcoords="offset points", size=8, color="#666666")  # fmt: skip
        for key in keys:
            _draw(axes, lines, starts, key)
        if axes.lines[len(starts) :]:
            axes.legend(loc="best")
    with atomic_path(image) as temporary:
        figure.savefig(temporary)


def _draw(axes: Axes, lines: list[Line], starts: dict[str, int], key: str) -> None:
    """Plot one value against the step over all phases."""
    points = [(starts[line["phase"]] + line["step"], line[key]) for line in lines if line.get(key) in FINITE]
    if not points:
        return
    steps, values = np.array(points, dtype=float).T
    if len(values) < SMOOTHED:
        axes.plot(steps, values, marker=".", label=key)
        return
    (thin,) = axes.plot(steps, values, linewidth=0.8, alpha=0.35)
    width = len(values) // 10
    mean = np.convolve(values, np.full(width, 1 / width), "valid")
    axes.plot(steps[width - 1 :], mean, color=thin.get_color(), label=key)
