"""What an hour of training gives: validation scores against hours, of one or several runs, as a picture."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aotlab.engine.training.journal.curve_panels import BLUE, GREEN, GREY, INK, MEDIUM, ORANGE, SMALL
from aotlab.engine.training.journal.log_lines import has_step, read_lines
from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path, is_file, real_path
from aotlab.utils.numbers import COUNT_OR_NONE, Range

COLOURS = (BLUE, ORANGE, GREEN, "#cc79a7", "#56b4e9", "#e69f00")
"""of the runs in turn (Okabe and Ito)"""
SECONDS_OF_HOUR = 3600
NOT_NEGATIVE, PERCENT = Range(0, 1e6), Range(0, 100)
"""what a log may say of seconds and scores; anything else is passed over"""


@dataclass(frozen=True)
class Learned:
    """The validations of a run."""

    name: str
    hours: np.ndarray
    """N: spent in steps until each validation, over all phases"""
    scores: np.ndarray
    """N: percent"""
    phases: list[str]
    """N: in which each took place"""


def read_learning(run: Path, measure: str = "J") -> Learned:
    """The validations in a run's log.

    Args:
        run: folder of a run, which holds ``log.jsonl``.
        measure: J, F or J&F.

    Raises:
        InputError: there is no log, or no validation in it.
    """
    log = run / "log.jsonl"
    if not is_file(log):
        raise InputError(f"{log}: no such log; give the folder of a training run")
    hours, scores, phases, seconds = [], [], [], 0.0
    done: dict[str, int] = {}
    for line in filter(has_step, read_lines(log)):
        phase, step = line["phase"], line["step"]
        if line.get("step_seconds") in NOT_NEGATIVE and step in COUNT_OR_NONE:
            seconds += line["step_seconds"] * (step - done.get(phase, 0))
            done[phase] = step
        if line.get(measure) in PERCENT:
            hours.append(seconds / SECONDS_OF_HOUR)
            scores.append(line[measure])
            phases.append(phase)
    if not hours:
        raise InputError(
            f"{log}: no validation with {measure} in it; set data.validation and train.validate_every"
        )
    return Learned(real_path(run).name, np.array(hours), np.array(scores), phases)


def read_measured(table: Path) -> Learned:
    """Scores that were measured otherwise, as on other clips: a CSV file with the columns hours, score and phase.

    Raises:
        InputError: not readable, or a column, number or row is missing.
    """
    wanted = f"{table}: expected a CSV file with the columns hours, score (percent) and phase"
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        hours = np.array([float(row["hours"]) for row in rows])
        scores = np.array([float(row["score"]) for row in rows])
        phases = [row["phase"] for row in rows]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(f"{wanted} ({error})") from error
    if not rows or not all(value in NOT_NEGATIVE for value in hours.tolist()):
        raise InputError(f"{wanted}, got {len(rows)} rows, or hours below 0")
    if not all(value in PERCENT for value in scores.tolist()) or None in phases:
        raise InputError(f"{wanted}, got a score outside 0 to 100, or no phase")
    return Learned(table.stem, hours, scores, phases)


def gain_per_doubling(learned: Learned) -> float:
    """Percent points that twice the hours gave, by a line through scores over the logarithm of hours; nan for one."""
    if len(learned.hours) < 2 or np.ptp(learned.hours) == 0 or learned.hours.min() <= 0:
        return float("nan")
    return float(np.polyfit(np.log2(learned.hours), learned.scores, 1)[0])


def draw_learning(runs: Sequence[Learned], picture: Path, measure: str = "J") -> None:
    """Draw the scores of runs against their hours: 1000×600 pixels.

    Raises:
        InputError: the picture cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), dpi=100, facecolor="white")
    axes = figure.add_axes((0.08, 0.11, 0.88, 0.77))
    for run, colour in zip(runs, COLOURS * len(runs), strict=False):
        gain = gain_per_doubling(run)
        grown = "" if np.isnan(gain) else f", {gain:+.1f} for twice the hours"
        axes.plot(run.hours, run.scores, color=colour, marker="o", label=f"{run.name}{grown}")
        for index, (hour, score) in enumerate(zip(run.hours, run.scores, strict=True)):
            last = index + 1 == len(run.phases) or run.phases[index + 1] != run.phases[index]
            text = f"{score:.1f} {run.phases[index]}" if last else f"{score:.1f}"
            axes.annotate(text, (hour, score), (0, 7), textcoords="offset points", ha="center", size=SMALL)
    axes.set_xlim(0, 1.06 * max(float(run.hours[-1]) for run in runs) or 1)
    axes.margins(y=0.15)
    axes.set_xlabel("hours in training steps", size=MEDIUM, color=INK)
    axes.grid(color="#e6e6e6")
    axes.tick_params(colors=GREY, labelsize=SMALL)
    axes.legend(loc="lower right", fontsize=MEDIUM, frameon=False)
    figure.text(0.08, 0.93, f"{measure}, percent", size=MEDIUM + 2, weight="bold")
    with atomic_path(picture) as temporary:
        figure.savefig(temporary, format="png")
