"""Seconds per frame or training step: by part, of two settings in turn, by kernel, or a table of all comparisons.

``python -m benchmarks.speed r50_aotl,objects=10,frames=30``
``python -m benchmarks.speed --compare r50_aotl,baseline=all r50_aotl --threads 1``
``python -m benchmarks.speed --tune r50_aotl,at_frame=30``
``python -m benchmarks.speed --train 4x5x289 deaott,frames=5``
``python -m benchmarks.speed --table results/speed.md --extra frames=8 --only baseline=all``
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from aotlab.networks.kernels.tuning import Timing
from aotlab.tools.cli.parser import AT_LEAST_ONE, CommandParser, argument_type, command
from aotlab.utils.files import require_output, write_text
from benchmarks.parts import Measurement, measure
from benchmarks.settings import parse_setting
from benchmarks.table import write_table
from benchmarks.timed_tracker import Comparison, TimedTracker, compare
from benchmarks.training import compare_training, step_shape

SETTINGS = (
    "SETTINGS are a preset, YAML file or checkpoint, then after commas settings of it (memory.every=2) or of the run: "
    "objects, size, frames, at_frame, video, checkpoint, device, precision, compile, baseline, kernels, clock. "
    "baseline=all runs what the published code does without its CUDA extension, baseline=local_attention+norms parts "
    "of it; kernels=fixed, tuned or plain selects kernels; clock=cpu counts the process's own seconds, for a busy "
    "machine."
)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser("speed", description="Seconds per frame of a model.", epilog=SETTINGS)
    parser.prog = "python -m benchmarks.speed"
    parser.add_argument(
        "settings", nargs="?", metavar="SETTINGS", help="a setting to measure (default: aott)"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--compare", nargs=2, metavar="SETTINGS", help="time two settings frame by frame in turn"
    )
    what.add_argument(
        "--tune", action="store_true", help="time the kernels again, and a frame with the fastest"
    )
    what.add_argument(
        "--train", type=argument_type(step_shape), metavar="CLIPSxFRAMESxCROP",
        help="time training steps of the baseline in float32 (A) and of SETTINGS (B)",
    )  # fmt: skip
    what.add_argument(
        "--table", type=Path, metavar="FILE.md", help="measure all comparisons and write a table"
    )
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="rows of --table to measure (default: all)"
    )
    parser.add_argument(
        "--extra", default="", metavar="key=value,...", help="settings to append to those of --table"
    )
    parser.add_argument(
        "--threads", type=AT_LEAST_ONE, metavar="N", help="PyTorch's CPU threads (default: its own)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="file to write the figures to")
    args = parser.parse_args(argv)
    if args.settings is not None and (args.compare or args.table):
        parser.error(f"{args.settings}: cannot be combined with --compare or --table")
    if args.table is None and (args.only or args.extra):
        parser.error("--only and --extra need --table")
    if args.table is not None and args.output is not None:
        parser.error("--output cannot be combined with --table")
    args.settings = args.settings or "aott"
    return args


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Let PyTorch use ``count`` threads while the context lasts; None: no change."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def show_measurement(found: Measurement) -> None:
    """Print the table of parts."""
    print(f"{found.title} on {found.machine.title}")
    (width, height), (inside, high) = found.size, found.network_size
    print(
        f"{width}x{height}, {inside}x{high} in the network: {found.seconds:.3f} s per frame (fastest "
        f"{found.fastest:.3f}), {found.gflop:.1f} GFLOP at {found.gflop / found.seconds:.0f} GFLOP/s, "
        f"{found.rate_share:.0%} of the {found.matmul_gflops:.0f} GFLOP/s of large matrix products"
    )
    print(f"{'':12} {'ms':>8} {'share':>6} {'GFLOP':>8} {'of matmul rate':>15}")
    for part in found.parts:
        work = f"{part.gflop:8.2f} {part.rate_share:15.0%}" if part.gflop else ""
        print(f"{part.name:12} {part.milliseconds:8.1f} {part.share:6.1%} {work}".rstrip())
    print(
        f"{found.memory_frames} frame(s) in long-term memory at the end, "
        f"peak memory {found.peak_bytes / 2**20:.0f} MiB"
    )


def show_timings(timings: dict[str, Timing]) -> None:
    """Print the kernel that was chosen for each class of arguments, and the times of all."""
    for name, timing in sorted(timings.items()):
        each = ", ".join(f"{kernel} {seconds * 1e3:.2f}" for kernel, seconds in timing.seconds.items())
        print(f"{name}: {timing.choice}, fixed choice {timing.fixed} (ms: {each})")


def show_comparison(found: Comparison, unit: str) -> None:
    """Print both medians and their ratio."""
    low, high = found.spread
    print(f"{len(found.first_seconds)} pairs of {unit}s on {found.machine.title}")
    print(f"A  {found.medians[0]:.4f} s per {unit}  {found.first}")
    print(f"B  {found.medians[1]:.4f} s per {unit}  {found.second}")
    print(f"A / B  {found.ratio:.3f}  (10th to 90th percentile {low:.3f} to {high:.3f})")


def write_json(output: Path | None, content: dict[str, Any]) -> int:
    """Write figures if asked for; returns the exit status."""
    if output is not None:
        write_text(output, json.dumps(content, indent=1) + "\n")
    return 0


@command
def main(argv: list[str] | None = None) -> int:
    """Measure what the options ask for; returns the exit status."""
    args = parse(argv)
    if args.output is not None:
        require_output(args.output)
    if args.table is not None:
        require_output(args.table, ".md")
    with cpu_threads(args.threads):
        if args.table is not None:
            write_table(args.table, extra=args.extra, only=args.only)
            return 0
        settings = [parse_setting(text) for text in args.compare or [args.settings]]
        if args.train is not None:
            steps, peak = compare_training(settings[0], args.train, progress=True)
            show_comparison(steps, "step")
            print(f"peak memory of B beyond the weights {peak / 2**20:.0f} MiB")
            return write_json(args.output, steps.as_dict())
        if args.tune:
            settings = [replace(settings[0], kernels=kernels) for kernels in ("fixed", "tuned")]
        runs = [TimedTracker(setting) for setting in settings]
        if len(runs) == 1:
            found = measure(*runs, progress=True)
            show_measurement(found)
            return write_json(args.output, found.as_dict())
        pair = compare(*runs, progress=True)
        if args.tune and runs[1].tuner is not None:
            show_timings(runs[1].tuner.timings)
        show_comparison(pair, "frame")
        return write_json(args.output, pair.as_dict())


if __name__ == "__main__":
    sys.exit(main())
