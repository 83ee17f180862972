"""Training curves as one picture, drawn from the log of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aotlab.engine.training.journal.curve_panels import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LARGE,
    MEDIUM,
    ORANGE,
    Panel,
    Segment,
    Series,
    draw_panel,
    draw_phases,
)  # fmt: skip
from aotlab.engine.training.journal.log_lines import Line, has_step, phase_starts, read_lines
from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path, real_path


def draw_curves(log: Path, picture: Path) -> None:
    """Draw loss, IoU, scores, learning rate, gradient norm and waiting time of a run: 1600×1000 pixels.

    Args:
        log: ``log.jsonl`` of a run; lines may lack any key.
        picture: PNG file to write.

    Raises:
        InputError: there is no log, or the picture cannot be written.
    """
    from matplotlib.figure import Figure

    if not log.is_file():
        raise InputError(f"{log}: no such log; give the log.jsonl of a training run")
    lines = [line for line in read_lines(log) if has_step(line)]
    _add_waiting(lines)
    starts = phase_starts(lines)
    end = max([starts[line["phase"]] + line["step"] for line in lines], default=0)
    figure = Figure(figsize=(16, 10), dpi=100, facecolor="white")
    grid = figure.add_gridspec(
        3, 2, width_ratios=(3, 2), left=0.045, right=0.985, bottom=0.05, top=0.87, hspace=0.36, wspace=0.12
    )
    for index, panel in enumerate(PANELS):
        axes = figure.add_subplot(grid[index % 3, index // 3])
        draw_phases(axes, starts, max(end, 1), labelled=index % 3 == 0)
        draw_panel(axes, panel, {each.key: _segments(lines, starts, each.key) for each in panel.series})
    figure.text(0.045, 0.955, real_path(log).parent.name, size=LARGE, weight="bold", color=INK)
    figure.text(0.985, 0.955, _summary(lines, end), size=MEDIUM, color=GREY, ha="right")
    with atomic_path(picture) as temporary:
        figure.savefig(temporary)


def _segments(lines: list[Line], starts: dict[str, int], key: str) -> list[Segment]:
    """What the log says of ``key``, a segment per phase; null is nan."""
    segments = []
    for phase, start in starts.items():
        found = [line for line in lines if line["phase"] == phase and key in line]
        steps = np.array([start + line["step"] for line in found], dtype=float)
        values = np.array([line[key] for line in found], dtype=float)  # None becomes nan
        if np.isfinite(values).any():
            segments.append((steps, values))
    return segments


def _add_waiting(lines: list[Line]) -> None:
    """Give training lines ``waiting``, the percentage of a step's time that went into waiting for data.

    Where the log has no time of a step, it is taken from the times of two lines of one phase.
    """
    before: Line | None = None
    for line in lines:
        if line.get("data_seconds") is None:
            continue
        seconds = line.get("step_seconds")
        if seconds is None and before is not None and before["phase"] == line["phase"]:
            steps = max(line["step"] - before["step"], 1)
            seconds = (line.get("time", 0) - before.get("time", 0)) / steps
        if seconds:
            line["waiting"] = min(max(100 * line["data_seconds"] / seconds, 0.0), 100.0)
        before = line


def _summary(lines: list[Line], end: int) -> str:
    """Where the run is, in a few words."""
    if not lines:
        return "nothing logged yet"
    parts = [f"step {end:,}".replace(",", " ")]
    seconds = [line["step_seconds"] for line in lines if line.get("step_seconds") is not None]
    if seconds:
        parts.append(f"{np.median(seconds[-50:]):.2f} s per step")
    scores = [line["J&F"] for line in lines if line.get("J&F") is not None]
    if scores:
        parts.append(f"best validation J&F {max(scores):.1f}")
    return "   ·   ".join(parts)


def _from_zero(values: np.ndarray) -> tuple[float, float]:
    """From 0; spikes run out of the plot instead of flattening it."""
    top = min(values.max(), 1.5 * np.quantile(values, 0.98))
    return 0.0, 1.08 * float(top) or 1.0


def _fraction(values: np.ndarray) -> tuple[float, float]:
    """From the tenth below all but a few values to 1."""
    return min(float(np.floor(10 * np.quantile(values, 0.01)) / 10), 0.9), 1.0


def _percent(values: np.ndarray) -> tuple[float, float]:
    """From 0 to at least 10 percent."""
    return 0.0, min(max(_from_zero(values)[1], 10.0), 103.0)


def _around(values: np.ndarray) -> tuple[float, float]:
    """A little more than all values, at least 5 percent points."""
    room = max(0.25 * float(np.ptp(values)), 2.5)
    return float(values.min()) - room, float(values.max()) + room


PANELS = (
    Panel("Loss", (Series("loss", "total", BLUE), Series("tracked_loss", "tracked frames", ORANGE),
                   Series("reference_loss", "reference frame", GREEN)), _from_zero),
    Panel("IoU of training clips", (Series("iou", "", BLUE),), _fraction),
    Panel("Validation, percent", (Series("J&F", "J&F", BLUE, ".1f"), Series("J", "J", ORANGE, ".1f"),
                                  Series("F", "F", GREEN, ".1f")), _around, marked=True),
    Panel("Learning rate", (Series("lr", "model", BLUE, ""), Series("encoder_lr", "encoder", ORANGE, "")),
          _from_zero, smooth=False),
    Panel("Norm of the gradient", (Series("gradient_norm", "", BLUE, ".2f"),), _from_zero, logarithmic=True),
    Panel("Waiting for data, percent of the time", (Series("waiting", "", BLUE, ".1f"),), _percent),
)  # fmt: skip
