"""Draw what an hour of training gave: ``aotlab learning_curve runs/bundled --output learning.png``."""

from __future__ import annotations

import sys
from pathlib import Path

from aotlab.tools.cli.paths import require_paths
from aotlab.tools.cli.program import Parser, command
from aotlab.utils.files import require_output


@command
def main(argv: list[str] | None = None) -> int:
    """Write the picture and print the last score of every run; returns the exit status."""
    parser = Parser("learning_curve", description="Validation scores of runs against hours of training.")
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="folders of training runs, or CSV files with the columns hours, score and phase",
    )
    parser.add_argument("--output", type=Path, required=True, help="the PNG to write")
    parser.add_argument("--measure", choices=("J", "F", "J&F"), default="J", help="default J")
    args = parser.parse_args(argv)
    require_paths(*args.runs)
    require_output(args.output, ".png")
    from aotlab.engine.training.journal.learning_curve import (
        draw_learning,
        gain_per_doubling,
        read_learning,
        read_measured,
    )

    runs = [
        read_measured(run) if run.suffix == ".csv" else read_learning(run, args.measure) for run in args.runs
    ]
    draw_learning(runs, args.output, args.measure)
    for run in runs:
        print(
            f"{run.name}: {args.measure} {run.scores[-1]:.1f} after {run.hours[-1]:.2f} hours, "
            f"{gain_per_doubling(run):+.1f} for twice the hours"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
