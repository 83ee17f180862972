"""Measure seconds per frame: by part, two settings side by side, or the whole performance table.

``python -m benchmarks.speed --config aott --size 854x480 --objects 1``
``python -m benchmarks.speed --compare r50_aotl,slow=all r50_aotl --at-frame 30``
``python -m benchmarks.speed --tune --config r50_aotl --at-frame 30``
``python -m benchmarks.speed --train 4x5x289 --config deaott --frames 5``
``python -m benchmarks.speed --report docs/performance.md``
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aotlab.configs.training import PRECISIONS
from aotlab.tools.cli.numbers import INTEGER
from aotlab.tools.cli.options import SIZE, add_config_options
from aotlab.tools.cli.paths import require_model, require_paths
from aotlab.tools.cli.program import Parser, command
from aotlab.tools.cli.weights import CHECKPOINT
from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path, require_output
from benchmarks.settings import Setting, parse_setting, slow_names

if TYPE_CHECKING:
    from aotlab.networks.kernels.tuning import Timing
    from benchmarks.comparison import Comparison
    from benchmarks.measurement import Measurement, PartTime

SETTINGS = (
    "SETTINGS are a preset, a YAML file or a checkpoint and then, behind commas, settings of it (memory.every=2) or of "
    "the run: objects, size, frames, at_frame, video, checkpoint, device, precision, compile, slow, products, clock. "
    "slow=all runs what the published code does without its CUDA extension, slow=local_attention+norms parts of it; "
    "products=fixed, tuned, plain or convolutions says how matrix products are computed; clock=cpu counts the "
    "process's own seconds, for a machine that others use. What they leave out is as the options say."
)


@command
def main(argv: list[str] | None = None) -> int:
    """Do what the options ask for; returns the exit status."""
    args = parse(argv)
    require_model(args.checkpoint, args.config)
    setting = setting_of(args)
    require_paths(args.video)
    if args.print_config:
        print_config(setting)
        return 0
    if args.output is not None:
        require_output(args.output)
    if args.report is not None:
        require_output(args.report, ".md")
    from aotlab.utils.devices import pick_device
    from benchmarks.comparison import compare
    from benchmarks.machine import cpu_threads
    from benchmarks.measurement import measure
    from benchmarks.report import write_report
    from benchmarks.training import StepShape, compare_training
    from benchmarks.tuned import tune

    pick_device(args.device)
    with cpu_threads(args.threads):
        if args.report is not None:
            write_report(args.report, setting, only=args.only or "")
        elif args.compare is not None:
            first, second = (parse_setting(text, replace(setting, overrides=())) for text in args.compare)
            show_comparison(compare(first, second, progress=True), args.output)
        elif args.tune:
            show_tuning(*tune(setting))
        elif args.train is not None:
            found = compare_training(setting, StepShape(*args.train), setting.frames, progress=True)
            show_comparison(found.steps, args.output, unit="step")
            print(f"peak memory of B beyond the weights {found.peak_bytes / 2**20:.0f} MiB")
        else:
            show_measurement(measure(setting, progress=True), args.output)
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser("speed", description="Seconds per frame of a model.", epilog=SETTINGS)
    parser.prog = "python -m benchmarks.speed"
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--compare", nargs=2, metavar=("A", "B"), help="two SETTINGS, timed frame by frame in turn"
    )
    what.add_argument(
        "--report", type=Path, metavar="FILE.md", help="measure all comparisons and write their table"
    )
    what.add_argument(
        "--tune",
        action="store_true",
        help="time the implementations of matrix products, and a frame with the fastest",
    )
    what.add_argument(
        "--train",
        type=step_shape,
        metavar="CLIPSxFRAMESxCROP",
        help="a training step on drawn clips, the slow twin's in float32 (A) and ours (B); --frames pairs of steps",
    )
    parser.add_argument(
        "--only", metavar="TEXT", help="with --report: measure rows that hold this text alone"
    )
    add_run_options(parser)
    add_config_options(parser)
    args = parser.parse_args(argv)
    refuse_ignored(parser, args)
    return args


def step_shape(text: str) -> tuple[int, int, int]:
    """Numbers of clips, frames and pixels: ``4x5x289``.

    Raises:
        argparse.ArgumentTypeError: something else.
    """
    try:
        clips, frames, crop = (int(INTEGER(part)) for part in text.split("x"))
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise argparse.ArgumentTypeError(f"{text}: must be CLIPSxFRAMESxCROP, for example 4x5x289") from error
    if clips < 1 or frames < 2 or crop < 33:
        raise argparse.ArgumentTypeError(f"{text}: needs 1 clip, 2 frames and 33 pixels at least")
    return clips, frames, crop


def refuse_ignored(parser: Parser, args: argparse.Namespace) -> None:
    """Stop at options that would have no meaning, or one that is not theirs."""
    if args.only is not None and args.report is None:
        parser.error("--only needs --report")
    if args.report is not None and args.output is not None:
        parser.error("--output: --report writes its JSON beside the table; leave --output out")
    separate: tuple[str, ...] = ()
    if args.compare is not None or args.report is not None:
        separate = ("config", "checkpoint", "overrides")
    if args.report is not None:  # rows say these themselves
        separate += ("video", "objects", "at_frame", "precision", "compile", "slow")
    if args.train is not None:
        for name in ("checkpoint", "size", "video", "objects", "at_frame", "compile", "slow"):
            if getattr(args, name) != parser.get_default(name):
                parser.error(f"--{name.replace('_', '-')}: has no meaning beside --train")
    for name in separate:
        if getattr(args, name) != parser.get_default(name) and getattr(args, name) != []:
            option = "--" + name.replace("_", "-") if name != "overrides" else args.overrides[0]
            parser.error(f"{option}: goes into SETTINGS beside --compare, and has no meaning beside --report")


def add_run_options(parser: Parser) -> None:
    """How the model runs."""
    usual = Setting()
    parser.add_argument(
        "--checkpoint", type=CHECKPOINT, metavar="FILE|NAME", help="weights (default: random)"
    )
    parser.add_argument("--size", type=SIZE, metavar="WIDTHxHEIGHT", help="of drawn frames (default 854x480)")
    parser.add_argument(
        "--video", type=Path, metavar="PATH", help="a video file or folder of frames, in place of drawn ones"
    )
    parser.add_argument(
        "--objects", type=INTEGER, default=usual.objects, help="number of objects (default 1)"
    )
    parser.add_argument(
        "--frames", type=INTEGER, default=usual.frames, help="frames to time, after 3 to warm up (default 20)"
    )
    parser.add_argument(
        "--at-frame",
        type=INTEGER,
        default=0,
        metavar="N",
        help="track N frames, untimed, before those to time",
    )
    parser.add_argument("--device", default=usual.device, help="cpu (default), cuda, ...")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default=usual.precision, help="float32 (default), or autocast's"
    )  # fmt: skip
    parser.add_argument("--compile", action="store_true", help="put the model's parts through torch.compile")
    parser.add_argument(
        "--slow", type=slow_names, default=(), metavar="NAMES", help="slow parts joined by +, or all"
    )
    parser.add_argument(
        "--threads", type=INTEGER, metavar="N", help="of PyTorch on the CPU (default: its own)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="write the figures as JSON as well")


def setting_of(args: argparse.Namespace) -> Setting:
    """What the options say.

    Raises:
        InputError: a value out of range or options that exclude each other.
    """
    if args.size is not None and args.video is not None:
        raise InputError("--size: frames of --video have their own size; leave one of the two out")
    return Setting(
        config=args.config, overrides=tuple(args.overrides), checkpoint=args.checkpoint,
        size=args.size or Setting().size, video=args.video, objects=args.objects, frames=args.frames,
        at_frame=args.at_frame, device=args.device, precision=args.precision, compile=args.compile, slow=args.slow,
    )  # fmt: skip


def print_config(setting: Setting) -> None:
    """Show the resolved settings of the model."""
    from aotlab.configs.load import to_yaml
    from aotlab.networks.weights.checkpoints import read_settings

    config = read_settings(setting.checkpoint, config=setting.config, overrides=setting.overrides)
    print(to_yaml(config), end="")


def show_measurement(found: Measurement, output: Path | None) -> None:
    """Print the table of parts, and write it."""
    width, height = found.size
    print(
        f"{found.name} {width}x{height}, {found.objects} objects, {found.frames} frames, {found.machine.device}, "
        f"{found.machine.threads} threads: {found.step_seconds:.3f} s per frame (fastest {found.step_fastest:.3f}), "
        f"{1 / found.step_seconds:.2f} frames per second"
    )
    print(f"{found.title} on {found.machine.title}")
    print(f"{'':12} {'ms':>8} {'fastest':>8} {'share':>6} {'GFLOP':>8} {'of matmul rate':>15}")
    for part in found.parts:
        print(part_line(part))
    inside = "x".join(str(side) for side in found.network_size)
    print(
        f"reading to writing {found.total_seconds * 1e3:.1f} ms (fastest {found.total_fastest * 1e3:.1f}), "
        f"{1 / found.total_seconds:.2f} frames per second, one after another; {inside} in the network, "
        f"{found.memory_frames} frame(s) in long-term memory at the end, peak memory {found.peak_bytes / 2**20:.0f} MiB"
    )
    print(
        f"step: {found.step_gflop:.1f} GFLOP at {found.step_gflop / found.step_seconds:.1f} GFLOP/s, "
        f"{found.rate_share:.0%} of the {found.matmul_gflops:.0f} GFLOP/s of large {found.precision} matrix products"
    )
    write_json(output, found.as_dict())


def part_line(part: PartTime) -> str:
    """A row of the table of parts."""
    gflop = "" if part.gflop is None else f"{part.gflop:.2f}"
    rate = "" if part.rate_share is None else f"{part.rate_share:.0%}"
    return (
        f"{part.name:12} {part.milliseconds:8.1f} {part.fastest:8.1f} {part.share:6.1%} {gflop:>8} {rate:>15}"
    )


def show_tuning(timings: dict[str, Timing], found: Comparison) -> None:
    """Print what was chosen for each class of arguments and by how much, then what a frame gains."""
    for name, timing in sorted(timings.items()):
        gain = (
            timing.seconds[timing.fixed] / timing.seconds[timing.choice]
            if timing.fixed in timing.seconds
            else None
        )
        each = ", ".join(f"{way} {seconds * 1e3:.2f}" for way, seconds in timing.seconds.items())
        said = "" if gain is None else f", {gain:.2f} times as fast as {timing.fixed}"
        print(f"{name}: {timing.choice}{said} (ms: {each})")
    show_comparison(found, None)


def show_comparison(found: Comparison, output: Path | None, unit: str = "frame") -> None:
    """Print both medians and their ratio, and write them."""
    low, high = found.spread
    machines = " and ".join(dict.fromkeys(machine.title for machine in found.machines))
    print(f"{len(found.first_seconds)} pairs of {unit}s on {machines}")
    print(f"A  {found.medians[0]:.4f} s per {unit}  {found.first}")
    print(f"B  {found.medians[1]:.4f} s per {unit}  {found.second}")
    print(f"A / B  {found.ratio:.3f}  (10th to 90th percentile {low:.3f} to {high:.3f})")
    write_json(output, found.as_dict())


def write_json(output: Path | None, content: dict[str, Any]) -> None:
    """Write figures where they are asked for."""
    if output is not None:
        with atomic_path(output) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
