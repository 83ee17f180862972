"""Track objects in a video: ``aotlab track video.mp4 --mask first.png --output results/video``."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.configs.protocol import with_protocol
from aotlab.configs.schema import Config
from aotlab.tools.cli.batch import add_job_options, refuse_with_jobs, run_batch
from aotlab.tools.cli.findings import show_levels, show_report, warn_of_damage
from aotlab.tools.cli.options import (
    WITHOUT_NEWEST,
    add_config_options,
    add_dry_run_options,
    add_memory_options,
    add_precision_option,
    add_size_option,
    option_overrides,
    require_bounded,
    size_overrides,
)
from aotlab.tools.cli.paths import bundled, require_masks, require_model, require_source
from aotlab.tools.cli.program import INTERRUPTED, Parser, command
from aotlab.tools.cli.prompts import add_prompt_options, save_prompted_masks
from aotlab.tools.cli.tracking import add_most_used_options, add_tracking_options
from aotlab.utils.errors import InputError
from aotlab.utils.extras import require_extra
from aotlab.utils.files import require_writable
from aotlab.utils.leftovers import remove_leftovers
from aotlab.utils.locks import locked_output
from aotlab.utils.text import counted

if TYPE_CHECKING:
    from aotlab.engine.video.given_masks import GivenMasks
    from aotlab.engine.video.tracking import TrackOptions, TrackReport
    from aotlab.media.video import FrameSource


def parse(argv: list[str] | None) -> Namespace:
    """Read the command line."""
    parser = Parser("track", description="Track the objects of one or more masks through a video.")
    parser.add_argument(
        "video",
        nargs="*",
        metavar="VIDEO",
        help="video file, image folder, TIFF stack, rtsp:// or http:// address, camera (/dev/video0), or - for "
        "standard input; several videos are jobs, with their masks beside them",
    )
    add_most_used_options(parser)
    add_prompt_options(parser)
    add_tracking_options(parser)
    add_job_options(parser)
    model = parser.add_argument_group("model and precision")
    add_config_options(parser, model)
    add_precision_option(model)
    add_size_option(model)
    add_memory_options(parser, bounded=True, budget=True)
    add_dry_run_options(parser)
    args = parser.parse_args(argv)
    if args.print_config:
        # no video is needed here, so what stands in its place is the first override
        args.overrides = [*args.video, *args.overrides]
        return args
    require_given(parser, args)
    return args


def require_given(parser: Parser, args: Namespace) -> None:
    """Refuse a command line without a video, masks or output, or with options of one video beside several."""
    masks = [*args.mask, *args.box, *args.point]
    args.several = args.jobs is not None or len(args.video) > 1
    if args.several:
        refuse_with_jobs(parser, args)
        masks = [True]  # each job has its own
    given = {
        "VIDEO": args.video or args.jobs, "--mask, --box or --point": masks,
        "--output": args.output or args.dry_run,
    }  # fmt: skip
    missing = [name for name, value in given.items() if not value]
    if missing:
        parser.error(f"{', '.join(missing)} must be given")


def track_options(args: Namespace) -> TrackOptions:
    """The options of `track`.

    Raises:
        InputError: as `TrackOptions`.
    """
    from aotlab.engine.video.tracking import TrackOptions

    write = [name.strip() for name in args.write.split(",") if name.strip()]
    write += ["report"] if args.report else []
    return TrackOptions(
        write=tuple(name for name in dict.fromkeys(write) if name != "overlay" or not args.no_overlay),
        both_directions=args.both_directions,
        realtime=args.realtime,
        timeout=args.timeout,
        removals=tuple(args.remove),
    )


def memory_settings(args: Namespace) -> tuple[Config, list[str]]:
    """The settings that the tracker will have, with long-term memory bounded, and their overrides.

    Raises:
        InputError: as `read_settings`, or an option that the policy does not read.
    """
    from aotlab.networks.weights.checkpoints import read_settings

    checkpoint = args.checkpoint or bundled()
    overrides = [*args.overrides, *size_overrides(args), *option_overrides(args)]
    overrides += [f"model.depth={args.depth}"] if isinstance(args.depth, int) else []
    settings = read_settings(checkpoint, config=args.config, overrides=overrides)
    settings = with_protocol(settings, "bounded", overrides)
    for option in ("memory_frames", "memory_budget"):
        if getattr(args, option) is not None:
            require_bounded(settings, f"--{option.replace('_', '-')}")
    return settings, overrides


def fit_budget(budget: int, settings: Config, source: FrameSource, masks: GivenMasks) -> list[str]:
    """Overrides for as many frames as fit into ``budget`` bytes; no more than the video can give.

    Raises:
        InputError: not even the reference frame and one more fit.
    """
    from aotlab.engine.video.budget import frame_bytes

    objects = len(masks.annotations.objects())
    each, memory = frame_bytes(settings, source.size, objects), settings.memory
    frames = budget // each
    if frames < 2:
        raise InputError(
            f"--memory-budget: {budget / 1e6:.1f} MB is too little, a frame of this video with {objects} objects "
            f"takes {each / 1e6:.1f} MB; give at least {2 * each / 1e6:.1f}MB"
        )
    if source.length is not None:
        frames = min(frames, max(2, 1 + len(masks) + source.length // memory.every))
    overrides = [WITHOUT_NEWEST, f"memory.frames={frames}"]
    if memory.insertions is not None:
        overrides.append(f"memory.insertions={max(memory.insertions, frames)}")
    return overrides


@command
def main(argv: list[str] | None = None) -> int:
    """Check all inputs, load the model, track, report; status 1 where the video broke off early."""
    args = parse(argv)
    require_model(args.checkpoint, args.config)
    if args.print_config:
        from aotlab.configs.load import to_yaml

        print(to_yaml(memory_settings(args)[0]), end="")
        return 0
    if args.several:
        return run_batch(args, args.checkpoint or bundled(), memory_settings(args), track_options(args))
    args.video = args.video[0]
    require_source(args.video)
    require_masks(args.mask)
    require_extra("video")
    return forecast(args) if args.dry_run else summarise(run(args), args)


def forecast(args: Namespace) -> int:
    """Check the inputs and print the memory of a frame; nothing is written.

    Raises:
        InputError: a source, mask, prompt or setting is wrong.
    """
    from aotlab.engine.memory_forecast import tracking_report
    from aotlab.engine.video.given_masks import load_masks
    from aotlab.media.streams import open_source
    from aotlab.prompts.texts import read_prompts

    source = open_source(args.video, timeout=args.timeout, levels=args.levels)
    prompts = read_prompts(args.box, args.point, args.not_point)
    objects = {
        *load_masks(args.mask, source).annotations.objects(),
        *(n for given in prompts.values() for n in given),
    }
    settings = memory_settings(args)[0]
    print(tracking_report(settings, source.size, len(objects), args.gpu_memory), end="")
    return 0


def run(args: Namespace) -> TrackReport:
    """Track; whatever is wrong with input, output or settings shows before the slow part.

    Raises:
        InputError: a source, mask, option or folder is wrong.
    """
    from aotlab.engine.video.outputs import refuse_source
    from aotlab.media.streams import open_source

    source, options = open_source(args.video, timeout=args.timeout, levels=args.levels), track_options(args)
    show_levels(source)
    refuse_source(options.write, args.output, Path(args.video))
    with locked_output(require_writable(args.output)):
        remove_leftovers(args.output)
        return run_locked(args, source, options)


def run_locked(args: Namespace, source: FrameSource, options: TrackOptions) -> TrackReport:
    """Track into an output folder that this process holds; see `run`."""
    from aotlab.engine.video.given_masks import load_masks
    from aotlab.engine.video.outputs import refuse_results, remove_results

    if not args.force:
        refuse_results(options.write, args.output)
    masks = load_masks([*args.mask, *save_prompted_masks(args, source)], source)
    from aotlab.engine.streaming import HELPERS
    from aotlab.engine.video.tracking import removals_by_frame, track

    removals_by_frame(options.removals, masks, source)
    from aotlab.engine.pacing import PacedTracker
    from aotlab.engine.tracker import Tracker
    from aotlab.utils.devices import leave_cores

    leave_cores(HELPERS)
    settings, overrides = memory_settings(args)
    if args.memory_budget is not None:
        overrides += fit_budget(args.memory_budget, settings, source, masks)
    checkpoint = args.checkpoint or bundled()
    tracker = Tracker.from_checkpoint(checkpoint, config=args.config, overrides=overrides, device=args.device)
    tracker.reset(source.length)
    followed = PacedTracker(tracker, args.depth) if isinstance(args.depth, float) else tracker
    # Not before all else is known to be right: masks may be among them.
    remove_results(options.write, args.output)
    return track(
        followed, source, masks, args.output, replace(options, class_names=masks.annotations.class_names)
    )


def summarise(report: TrackReport, args: Namespace) -> int:
    """Say what was done; returns the exit status."""
    results = " and ".join(map(str, report.written.values())) or "nothing complete"
    skipped = f", {report.dropped} skipped" if args.realtime else ""
    frames = counted(report.frames, "frame")
    print(f"{frames} at {report.frames_per_second:.1f} frames per second{skipped}: {results}")
    if args.report and "report" in report.written:
        show_report(report.written["report"])
    warn_of_damage(report)
    if report.error is not None:
        print(f"error: {report.error}", file=sys.stderr)
        return 1
    if report.interrupted:
        print(f"interrupted: the results hold the first {frames}", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
