"""Plot of the training IoU of the family.

``python -m research.family.curves RUNS FILE``; RUNS is the output of `research.family.train`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import numpy as np

from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import ExistingFolder, File, PositiveInt, option
from research.family.train import MODELS

TITLES = dict(zip(MODELS, ("AOTT", "DeAOTT", "MSDeAOTT"), strict=True))


def read_curve(folder: Path, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Return steps and mean training IoU in percent of each window of ``window`` steps of a run."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    values = np.array([[line["step"], 100 * line["iou"]] for line in lines if "iou" in line])
    windows = (values[:, 0] - 1) // window
    ends = np.unique(windows)
    return window * (ends + 1), np.array([values[windows == end, 1].mean() for end in ends])


@command("python -m research.family.curves")
@click.argument("runs", type=ExistingFolder, metavar="RUNS", help="folder of the runs, MODEL_SEED")
@click.argument("output", type=File, metavar="FILE", help="image to write")
@option("--seed", type=click.IntRange(0), default=0, help="seed of the runs")
@option("--window", type=PositiveInt, default=50, help="steps per point")
def main(*, runs: Path, output: Path, seed: int, window: int) -> int:
    """Plot the IoU of tracked objects on the training clips, and print it."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.4), layout="constrained")
    for model in MODELS:
        steps, values = read_curve(runs / f"{model}_{seed}", window)
        axes.plot(steps, values, marker=".", label=TITLES[model])
        print(TITLES[model], " ".join(f"{value:.1f}" for value in values))
    axes.set(xlabel="steps", ylabel=f"training IoU in %, mean of {window} steps")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(output, dpi=110)
    return 0


if __name__ == "__main__":
    sys.exit(main())
