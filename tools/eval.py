"""Run a model on a benchmark: palette PNGs for every frame, and scores if annotations are available.

aotlab eval --dataset davis2017 --root datasets/DAVIS --output results/davis2017
aotlab eval --dataset visor --checkpoint A.safetensors --checkpoint B.safetensors --flip --scales 1.2,1.3,1.4 \
    --output results/visor
torchrun --nproc-per-node 4 -m aotlab.tools.eval --device cuda --dataset youtubevos2019 --output results/youtubevos2019
"""

from __future__ import annotations

import hashlib
import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click import UsageError

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.configs.schema import Config
from aotlab.dataloaders.benchmarks.datasets import DATASETS, describe_submission, open_dataset
from aotlab.dataloaders.benchmarks.sequences import select_videos
from aotlab.media.labelled_video import Video
from aotlab.tools.cli.command import command, group, report_failures, report_write_errors
from aotlab.tools.cli.options import (
    dataset_options,
    device_options,
    force,
    list_overrides,
    memory_options,
    model_options,
    print_settings,
    quality,
    require_bounded,
    restart,
    settings,
)
from aotlab.tools.cli.types import Choice, Folder, Pixels, PositiveFloat, Scale, flag, list_option, option
from aotlab.utils.errors import InputError, RunStopped, require_extra
from aotlab.utils.files import require_writable, write_text
from aotlab.utils.processes import StopFlag, stop_flag

if TYPE_CHECKING:
    from aotlab.engine.benchmark.ensemble import Ensemble
    from aotlab.engine.benchmark.evaluator import EvaluationResult
    from aotlab.engine.tracking.tracker import Tracker
    from aotlab.evaluation.tables import TableLayout
    from aotlab.utils.distributed import World

RANK_TIMEOUT = timedelta(days=7)
"""timeout of ranks that wait for slower ones"""


def read_first_config(args: Namespace) -> Config:
    """Return the settings of the first model."""
    from aotlab.networks.weights.checkpoints import read_settings

    checkpoint, config = pair_models_with_configs(args)[0]
    return read_settings(checkpoint, config=config, overrides=args.overrides)


def track(videos: Sequence[Video], args: Namespace, world: World, stop: StopFlag) -> EvaluationResult:
    """Load the models and track this rank's share; raise `RunStopped` if interrupted."""
    from aotlab.engine.benchmark.evaluator import EvaluationOptions, evaluate
    from aotlab.utils.devices import reserve_cores
    from aotlab.utils.streaming import HELPER_THREADS

    reserve_cores(HELPER_THREADS)
    tracker, origin = load_models(args, str(world.device))
    options = EvaluationOptions(
        overlay=args.overlay, origin=origin, restart=args.restart, force=args.force, stop=stop
    )
    report = evaluate(tracker, videos, args.output, options, world)
    if report.stopped:
        raise RunStopped(
            f"{len(report.finished)} of {len(videos)} sequences are done, in {args.output}; "
            "the same command resumes",
            signal_number=stop.signal_number,
        )
    return report


def load_models(args: Namespace, device: str) -> tuple[Tracker | Ensemble, dict[str, Any]]:
    """Return the tracker that the options ask for, and all that its results depend on."""
    from aotlab.engine.benchmark.ensemble import Ensemble, build_branches
    from aotlab.engine.tracking.tracker import Tracker
    from aotlab.utils.files import sha256

    chosen = pair_models_with_configs(args)
    weights = args.weights or [1.0] * len(chosen)
    branches, origin = [], []
    for (checkpoint, config), weight in zip(chosen, weights, strict=True):
        single = Tracker.from_pretrained(
            checkpoint, config=config, overrides=args.overrides, device=device, protocol="published"
        )
        settings = hashlib.sha256(repr(single.config).encode()).hexdigest()
        origin.append({"checkpoint": sha256(checkpoint), "settings": settings, "weight": weight})
        if len(chosen) == 1 and not args.flip and args.scales == [1.0]:
            return single, {"models": origin}
        branches += build_branches(
            single.model, single.config, scales=args.scales, flip=args.flip, weight=weight, device=device
        )
    views = {"flip": args.flip, "scales": args.scales, "feedback": args.feedback}
    return Ensemble(branches, fused_feedback=args.feedback == "fused"), {"models": origin, **views}


def pair_models_with_configs(args: Namespace) -> list[tuple[Path, str | None]]:
    """Return (checkpoint, preset) of each model; None: the checkpoint's own settings."""
    checkpoints = args.checkpoint or [BUNDLED_CHECKPOINT]
    configs = args.config or [None]
    if len(configs) not in (1, len(checkpoints)):
        raise InputError(
            f"--config: {len(configs)} of them for {len(checkpoints)} of --checkpoint; give none, one for all, or one "
            "for each in the same order"
        )
    return [(path, configs[number % len(configs)]) for number, path in enumerate(checkpoints)]


def write_scores(path: Path, table: dict[str, Any], report: EvaluationResult) -> None:
    """Write scores, speed and failures as JSON."""
    content = {**table, "fps": report.fps, "failures": report.failures}
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def print_scores(table: dict[str, Any], layout: TableLayout, report: EvaluationResult) -> None:
    """Print the table and the speed, and failures on stderr."""
    from aotlab.evaluation.tables import format_table

    if table:
        print(format_table(table, layout))
    if report.resumed:
        print(f"finished before: {len(report.resumed)} of {len(report.finished)}; --restart runs them again")
    if report.fps is not None:
        print(f"{report.fps:.2f} frames per second over {report.timed_frames} frames")
    report_failures(report.failures)


@command("aotlab eval", "Run a model on a benchmark and score it.")
@settings
@dataset_options(
    list(DATASETS), flag("--all-frames", "run on all frames, not only the labelled ones"), split="val"
)
@group(
    "output", option("--output", type=Folder, help="folder for the results and scores.json"), force, restart
)
@quality
@flag("--overlay", "also write images with the masks drawn in")
@group(
    "test-time augmentation and ensembles",
    flag("--flip", "average with the mirrored frame"),
    list_option("--scales", "average over test-time scales, comma-separated (default: 1.0)", Scale),
    list_option(
        "--weights", "weight of each --checkpoint, comma-separated (default: all equal)", PositiveFloat
    ),
    option(
        "--feedback",
        type=Choice(("own", "fused")),
        default="own",
        help="prediction that each branch stores in memory: its own, or the fused one",
    ),
    option("--max-long-edge", type=Pixels, help="sets input.max_long_edge, in pixels"),
)
@model_options(several="the models are averaged, each with its own --config", several_configs=True)
@device_options
@memory_options(bounded=False)
def main(args: Namespace) -> int:
    """Evaluate; return 0, or 1 if a sequence failed."""
    args.overrides += list_overrides(args)
    args.scales = args.scales or [1.0]
    missing = [f"--{name}" for name in ("dataset", "output") if getattr(args, name) is None]
    if missing and not args.print_config:
        raise UsageError(f"missing: {' and '.join(missing)}")
    models = len(pair_models_with_configs(args))
    if args.weights and len(args.weights) != models:
        raise UsageError(f"--weights: {len(args.weights)} of them for {models} models; give one for each")
    if args.print_config:
        print_settings(read_first_config(args))
        return 0
    require_extra("score")
    # data set and output are checked before the slow part
    every = open_dataset(
        args.dataset, args.root, args.split, all_frames=args.all_frames, new_objects=args.new_objects
    )
    videos = select_videos(every, args.sequence or None)
    require_writable(args.output)
    from aotlab.engine.benchmark.evaluator import score_finished
    from aotlab.engine.benchmark.scoring import find_rules
    from aotlab.evaluation.tables import make_scores_table
    from aotlab.utils.distributed import join_process_group

    if args.memory_frames is not None:
        require_bounded(read_first_config(args), "--memory-frames")
    with join_process_group(args.device, timeout=RANK_TIMEOUT) as world, stop_flag() as stop:
        report = track(videos, args, world, stop)
    if not world.is_main:
        return 0
    scores = score_finished(videos, report)
    layout = find_rules(videos).table
    table = make_scores_table(scores, layout) if scores else {}
    print_scores(table, layout, report)
    if not scores:
        remedy = describe_submission(args.dataset, args.root, args.split, args.output)
        print(f"no score: {remedy or 'no ground truth for what was tracked'}")
    with report_write_errors():
        write_scores(args.output / "scores.json", table, report)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
