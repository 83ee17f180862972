"""Run a model on a benchmark: palette PNGs for every frame, and scores if annotations are available.

aotlab eval --dataset davis2017 --root datasets/DAVIS --output results/davis2017
aotlab eval --dataset visor --checkpoint A.safetensors --checkpoint B.safetensors --flip --scales 1.2,1.3,1.4 \
    --output results/visor
torchrun --nproc-per-node 4 -m aotlab eval --device cuda --dataset youtubevos2019 --output results/youtubevos2019
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from click import UsageError

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.tools.cli.command import command, option_group
from aotlab.tools.cli.options import (
    benchmark_options,
    config_option,
    device,
    explain_no_score,
    force_results,
    measure_option,
    open_benchmark,
    plugin_files,
    print_config,
    print_settings,
    settings,
    strict,
    tracker_option,
)
from aotlab.tools.cli.types import Choice, Folder, PositiveFloat, Scale, flag, list_option, option
from aotlab.utils.errors import RunStopped, require_modules
from aotlab.utils.files import require_writable, write_json
from aotlab.utils.signals import stop_flag
from aotlab.utils.text import format_count

if TYPE_CHECKING:
    from aotlab.benchmark.ensemble import WeightedModel
    from aotlab.benchmark.evaluator import EvaluationResult
    from aotlab.dataloaders.labeled_video import Video
    from aotlab.evaluation.benchmark import Benchmark

RANK_TIMEOUT = timedelta(days=7)
"""Timeout of ranks that wait for slower ones."""


def list_models(
    checkpoints: Sequence[str | Path], configs: Sequence[str], weights: Sequence[float]
) -> list[WeightedModel]:
    """Return the models of a command line; raise `UsageError` if the options differ in number."""
    checkpoints = checkpoints or [BUNDLED_CHECKPOINT]
    count = len(checkpoints)
    models = format_count(count, "model")
    if len(configs) not in (0, 1, count):
        raise UsageError(f"--config: given {len(configs)} times for {models}; give none, one for all, or one for each")
    if len(weights) not in (0, count):
        raise UsageError(f"--weights: {format_count(len(weights), 'weight')} for {models}; give one for each")
    presets: list[str | None] = [*configs] or [None]
    presets *= 1 if len(presets) == count else count
    return list(zip(checkpoints, presets, weights or [1.0] * count, strict=True))


def report_results(
    benchmark: Benchmark, videos: Sequence[Video], num_sequences: int, result: EvaluationResult, no_score: str | None
) -> int:
    """Print the scores and the speed of a run, and write them as `scores.json`; return 1 if a video failed, else 0.

    ``num_sequences``: number of sequences of the split. ``no_score``: from `explain_no_score`.
    """
    from aotlab.benchmark.evaluator import score_finished
    from aotlab.evaluation.results import SCORES_FILE, BenchmarkResults
    from aotlab.evaluation.tables import format_table, make_scores_table

    scoring = score_finished(benchmark, videos, result)
    scores = scoring.scores
    table = make_scores_table(benchmark, scores) if scores else {}
    if table:
        print(*filter(None, format_table(table, benchmark.all_columns)), sep="\n\n")
        if len(scores) < num_sequences:
            print(f"\nover {len(scores)} of {format_count(num_sequences, 'sequence')}")
    if result.resumed:
        count = f"{len(result.resumed)} of {len(result.sequences)}"
        print(f"finished before: {count}; delete {result.output} to run them again")
    if result.fps is not None and len(result.resumed) < len(result.sequences):
        print(f"{result.fps:.2f} frames per second over {result.timed_frames} frames")
    if not scores:
        reason = "no ground truth for what was tracked" if result.sequences else "no sequence was tracked"
        print(f"no score: {no_score or reason}")
    stored = BenchmarkResults.read(result.output)
    others = {entry["sequence"] for entry in stored.entries} - {video.name for video in videos} if stored else set()
    if others:
        count = format_count(len(others), "other sequence")
        print(f"{SCORES_FILE} is unchanged: the folder has results of {count}; run without --sequence to write it")
    else:
        made = {"inputs": stored.inputs, "provenance": stored.provenance} if stored else {}
        table |= {**benchmark.describe_measures(), "frames": scoring.count_frames()} if scores else {}
        content = {**table, "fps": result.fps, "failures": result.failures, **made}
        write_json(result.output / SCORES_FILE, content, indent=2)
    return 1 if result.failures else 0


@command("aotlab eval")
@settings
@benchmark_options(flag("--all-frames", "run on all frames, not only the labeled ones"))
@option_group(
    "output",
    option("--output", type=Folder, help="folder for results and scores.json (default: results/DATASET)"),
    measure_option,
    force_results,
)
@option_group(
    "test-time augmentation and ensembles",
    flag("--flip", "average with the mirrored frame"),
    list_option("--scales", "average over test-time scales, comma-separated (default: 1.0)", Scale.read),
    list_option("--weights", "weight of each --checkpoint, comma-separated (default: 1)", PositiveFloat.read),
    option(
        "--feedback",
        type=Choice(("own", "fused")),
        help="prediction that each branch stores in memory: its own, or the fused one (default: own)",
    ),
)
@option_group(
    "model",
    tracker_option(multiple="average models, each with its own --config"),
    config_option(multiple=True),
    plugin_files,
    strict,
    device,
    print_config,
)
def main(
    *, dataset: str | None, root: Path | None, split: str, sequence: tuple[str, ...], new_objects: bool,
    strict_protocol: bool, all_frames: bool, output: Path | None, measure: tuple[str, ...], force: bool,
    checkpoint: tuple[str | Path, ...],
    config: tuple[str, ...], overrides: tuple[str, ...], device: str, print_config: bool, flip: bool,
    scales: tuple[float, ...], weights: tuple[float, ...], feedback: str | None, strict: bool,
) -> int:  # fmt: skip
    models, scales = list_models(checkpoint, config, weights), scales or (1.0,)
    from aotlab.engine.tracking.options import TrackerOptions

    options = [TrackerOptions(path, name, overrides, protocol="published") for path, name, _ in models]
    if print_config:
        return print_settings(*(item.read_settings() for item in options))
    for item in options if strict else ():
        item.require_trained_code()
    is_averaged = len(models) > 1 or flip or scales != (1.0,)
    if feedback and not is_averaged:
        raise UsageError("--feedback: applies to averages; give --flip, --scales or several --checkpoint")
    require_modules("cv2", "pycocotools", "tqdm")
    # data set and output are checked before the slow part
    flags = ["new_objects"] * new_objects + ["all_frames"] * all_frames
    rules = [*flags, *["strict_protocol"] * strict_protocol]
    benchmark, videos, num_sequences = open_benchmark(dataset, root, split, sequence, rules, measure)
    output = output or Path("results", benchmark.name)
    require_writable(output)
    from aotlab.benchmark.ensemble import load_tracker
    from aotlab.benchmark.evaluator import evaluate
    from aotlab.utils.devices import leave_cores_free
    from aotlab.utils.distributed import join_process_group
    from aotlab.utils.streaming import HELPER_THREADS

    with join_process_group(device, timeout=RANK_TIMEOUT) as world, stop_flag() as stop:
        leave_cores_free(HELPER_THREADS)
        tracker, model = load_tracker(
            models, overrides, str(world.device), flip=flip, scales=scales,
            feedback=(feedback or "own") if is_averaged else None,
        )  # fmt: skip
        inputs = {"dataset": benchmark.name, "split": split, **dict.fromkeys(flags, True), **model}
        result = evaluate(tracker, videos, output, inputs=inputs, force=force, stop=stop, world=world)
        if result.stopped:
            progress = f"{len(result.sequences)} of {len(videos)} sequences are done, in {output}"
            raise RunStopped(f"{progress}; the same command resumes", signal_number=stop.signal_number)
    no_score = explain_no_score(benchmark, root, split, output)
    return report_results(benchmark, videos, num_sequences, result, no_score) if world.is_main else 0


if __name__ == "__main__":
    raise SystemExit(main())
