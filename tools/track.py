"""Track objects in a video: ``aotlab track video.mp4 --mask first.png --output results/video``."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.configs.schema import Config
from aotlab.tools.cli.batch import add_job_options, refuse_with_jobs, run_batch
from aotlab.tools.cli.one_video import forecast, run_one
from aotlab.tools.cli.options import (
    add_config_options,
    add_dry_run_options,
    add_memory_options,
    add_precision_option,
    add_size_option,
    bounded_settings,
    option_overrides,
    print_settings,
    require_bounded,
    size_overrides,
)
from aotlab.tools.cli.paths import require_masks, require_model, require_source
from aotlab.tools.cli.program import Parser, command
from aotlab.tools.cli.prompts import add_prompt_options
from aotlab.tools.cli.tracking import add_most_used_options, add_tracking_options
from aotlab.utils.extras import require_extra

if TYPE_CHECKING:
    from aotlab.engine.video.options import TrackOptions


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
    if not args.print_config:
        require_given(parser, args)
    return args


def require_given(parser: Parser, args: Namespace) -> None:
    """Refuse a command line without a video, masks or output, or with options of one video beside several."""
    if args.gpu_memory and not args.dry_run:
        parser.error("--gpu-memory needs --dry-run")
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
    """Return the options of `track`; raise `InputError` if they contradict each other."""
    from aotlab.engine.video.options import TrackOptions

    write = [name.strip() for name in args.write.split(",") if name.strip()]
    write += ["review"] if args.review else []
    return TrackOptions(
        write=tuple(name for name in dict.fromkeys(write) if name != "overlay" or not args.no_overlay),
        both_directions=args.both_directions,
        realtime=args.realtime,
        timeout=args.timeout,
        removals=tuple(args.remove),
        by_name=args.frame_numbers == "file",
    )


def memory_settings(args: Namespace) -> tuple[Config, list[str]]:
    """Return the tracker's settings, with bounded long-term memory, and their overrides."""
    overrides = [*args.overrides, *size_overrides(args), *option_overrides(args)]
    settings = bounded_settings(args.checkpoint or BUNDLED_CHECKPOINT, args.config, overrides)
    for option in ("memory_frames", "memory_budget"):
        if getattr(args, option) is not None:
            require_bounded(settings, f"--{option.replace('_', '-')}")
    return settings, overrides


@command
def main(argv: list[str] | None = None) -> int:
    """Track one or several videos; return 1 if one ended early."""
    args = parse(argv)
    require_model(args.checkpoint, args.config)
    if args.print_config:
        print_settings(memory_settings(args)[0])
        return 0
    checkpoint = args.checkpoint or BUNDLED_CHECKPOINT
    if args.several:
        return run_batch(args, checkpoint, memory_settings(args), track_options(args))
    args.video = args.video[0]
    require_source(args.video)
    require_masks(args.mask)
    require_extra("video")
    if args.dry_run:
        return forecast(args, memory_settings(args)[0])
    return run_one(args, checkpoint, memory_settings(args), track_options(args))


if __name__ == "__main__":
    sys.exit(main())
