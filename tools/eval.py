"""Run a model on a benchmark: palette PNGs for every frame, and J&F where ground truth is at hand.

python tools/eval.py --dataset davis2017 --root datasets/DAVIS --output results/davis2017
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configs.load import to_yaml
from configs.options import add_config_options
from dataloaders.benchmarks.datasets import DATASETS, open_dataset, submission_hint
from dataloaders.sequences import Video
from engine.evaluator import EvaluationReport, evaluate, score
from engine.scoring import rules_of
from engine.tracker import BUNDLED_CHECKPOINT, Tracker
from evaluation.tables import TableLayout, format_table, scores_table
from networks.checkpoints import read_settings
from utils.cli import Parser, command
from utils.errors import InputError
from utils.files import atomic_path, require_writable


@command
def main(argv: list[str] | None = None) -> int:
    """Evaluate; returns 0, or 1 if a sequence failed."""
    args = parse(argv)
    if args.print_config:
        settings = read_settings(args.checkpoint, config=args.config, overrides=args.overrides)
        print(to_yaml(settings), end="")
        return 0
    # whatever is wrong with the data set or the output shows before the slow part
    every = open_dataset(
        args.dataset, args.root, args.split, all_frames=args.all_frames, new_objects=args.new_objects
    )
    videos = select(every, args.sequence)
    require_writable(args.output)
    tracker = Tracker.from_checkpoint(
        args.checkpoint, config=args.config, overrides=args.overrides, device=args.device
    )
    report = evaluate(tracker, videos, args.output, overlay=args.overlay)
    scores = score(videos, report)
    layout = rules_of(videos).table
    table = scores_table(scores, layout) if scores else {}
    write_scores(args.output / "scores.json", table, report)
    show(table, layout, report)
    if not scores:
        hint = submission_hint(args.dataset, args.root, args.split, args.output)
        print(f"no score: {hint or 'no ground truth for what was tracked'}")
    return 1 if report.failures else 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(prog="eval.py", description="Run a model on a benchmark and score it.")
    parser.add_argument("--dataset", metavar="NAME", help=f"one of {', '.join(DATASETS)}")
    parser.add_argument(
        "--root", type=Path, help="folder of the data set (default: $AOTLAB_<NAME>, else below datasets/)"
    )
    parser.add_argument("--split", default="val", help="train, val or test (default: val)")
    parser.add_argument(
        "--sequence", action="append", metavar="NAME", help="run on this one only; may be repeated"
    )
    parser.add_argument(
        "--all-frames", action="store_true", help="run on all frames, not the labelled ones only"
    )
    parser.add_argument("--new-objects", action="store_true", help="folder: later masks bring new objects")
    parser.add_argument(
        "--checkpoint", type=Path, default=BUNDLED_CHECKPOINT, help="default: the bundled model"
    )
    parser.add_argument("--output", type=Path, help="folder for the results and scores.json")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")
    parser.add_argument("--overlay", action="store_true", help="also write pictures with the masks drawn in")
    add_config_options(parser)
    # intermixed: overrides may stand before, between and after the options
    args = parser.parse_intermixed_args(argv)
    missing = [f"--{name}" for name in ("dataset", "output") if getattr(args, name) is None]
    if missing and not args.print_config:
        parser.error(f"{' and '.join(missing)} must be given")
    return args


def select(videos: Sequence[Video], names: Sequence[str] | None) -> list[Video]:
    """The videos of these names, in the data set's order; all without names.

    Raises:
        InputError: a name that the data set does not have.
    """
    if names is None:
        return list(videos)
    known = [video.name for video in videos]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3) or known[:3]
            raise InputError(f"--sequence {name}: not in this split; it has {', '.join(near)} and others")
    return [video for video in videos if video.name in names]


def write_scores(path: Path, table: dict[str, Any], report: EvaluationReport) -> None:
    """Write the scores with the speed and what failed as JSON."""
    content = {**table, "fps": report.fps, "failures": report.failures}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def show(table: dict[str, Any], layout: TableLayout, report: EvaluationReport) -> None:
    """Print the table, the speed, and on stderr what failed."""
    if table:
        print(format_table(table, layout))
    if report.fps is not None:
        print(f"{report.fps:.2f} frames per second over {report.timed_frames} frames")
    for name, message in report.failures.items():
        print(f"failed: {name}: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(None))
