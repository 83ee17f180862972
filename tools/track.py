"""Track objects in a video: ``aotlab track video.mp4 --mask first.png --output results/video``."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.configs.schema import Config
from aotlab.tools.cli.batch import refuse_with_jobs, run_batch
from aotlab.tools.cli.one_video import dry_run, run_one
from aotlab.tools.cli.options import (
    add_config_options,
    add_memory_options,
    add_shared,
    bounded_settings,
    option_overrides,
    print_settings,
    require_bounded,
)
from aotlab.tools.cli.paths import require_masks, require_model, require_source
from aotlab.tools.cli.program import Parser, command, option
from aotlab.tools.cli.prompts import add_prompt_options
from aotlab.tools.cli.tracking import add_most_used_options, add_tracking_options
from aotlab.utils.errors import require_extra

if TYPE_CHECKING:
    from aotlab.engine.video.options import TrackOptions

SIZES = {"fast": 0.6, "balanced": 0.8, "full": 1.0}
"""names of ``--size`` to `input.scale`"""


def parse(argv: list[str] | None) -> Namespace:
    """Read the command line."""
    parser = Parser("track", "Track the objects of one or more masks through a video.")
    option(
        parser,
        "video VIDEO",
        "video file, image folder, TIFF stack, rtsp:// or http:// address, camera (/dev/video0), or - for "
        "standard input; several videos are jobs, with their masks beside them",
        nargs="*",
    )
    add_most_used_options(parser)
    add_prompt_options(parser)
    add_tracking_options(parser)
    option(
        parser.add_argument_group("many videos"),
        "--jobs LIST",
        "CSV or JSON-lines file, or a folder of videos with their masks beside them; resumes; torchrun "
        "distributes the jobs",
        type=Path,
    )
    model = parser.add_argument_group("model and precision")
    add_config_options(parser, model)
    add_shared(model, "--precision")
    size = "sets input.scale to 0.6, 0.8 or 1: smaller is faster and less accurate (default: full)"
    option(model, "--size", size, choices=SIZES)
    add_memory_options(parser, bounded=True, budget=True)
    add_shared(parser, "--dry-run")
    args = parser.parse_args(argv)
    if not args.print_config:
        require_given(parser, args)
    args.overrides += [] if args.size is None else [f"input.scale={SIZES[args.size]}"]
    args.overrides += option_overrides(args)
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


def settings_of(args: Namespace) -> Config:
    """Return the tracker's settings, with bounded long-term memory."""
    settings = bounded_settings(args.checkpoint, args.config, args.overrides)
    for name in ("memory_frames", "memory_budget"):
        if getattr(args, name) is not None:
            require_bounded(settings, f"--{name.replace('_', '-')}")
    return settings


@command
def main(argv: list[str] | None = None) -> int:
    """Track one or several videos; return 1 if one ended early."""
    args = parse(argv)
    require_model(args.checkpoint, args.config)
    if args.print_config:
        print_settings(settings_of(args))
        return 0
    if args.several:
        return run_batch(args, settings_of(args), track_options(args))
    args.video = args.video[0]
    require_source(args.video)
    require_masks(args.mask)
    require_extra("video")
    settings, options = settings_of(args), track_options(args)
    return dry_run(args) if args.dry_run else run_one(args, settings, options)


if __name__ == "__main__":
    sys.exit(main())
