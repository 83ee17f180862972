"""Track objects in a video: ``aotlab track video.mp4 --mask first.png --output results/video``."""

from __future__ import annotations

import os
import re
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.tools.cli.options import (
    add_prompt_options,
    add_shared_options,
    add_tracker_options,
    read_tracker_options,
    require_bounded,
)
from aotlab.tools.cli.parser import (
    ABOVE_ZERO,
    NOT_NEGATIVE,
    CommandParser,
    argument_type,
    command,
    require_model,
    require_paths,
    require_source,
)
from aotlab.tools.cli.stdio import INTERRUPTED, SIGNAL_STATUS
from aotlab.utils.errors import InputError, require_extra
from aotlab.utils.numbers import format_count

if TYPE_CHECKING:
    from aotlab.engine.tracking.options import TrackerOptions
    from aotlab.engine.video.inputs import FrameNumbers
    from aotlab.engine.video.job import Job
    from aotlab.engine.video.track import TrackOptions, TrackResult
    from aotlab.media.video import FrameSource

SIZES = {"fast": 0.6, "balanced": 0.8, "full": 1.0}
"""names of ``--size`` to `input.scale`"""
DEFAULT_WRITE = "masks,overlay"
MAX_LISTED = 20
"""largest number of damaged frames that are named"""
RANK_TIMEOUT = timedelta(days=30)
"""timeout of ranks that wait for longer jobs"""


def parse(argv: list[str] | None) -> Namespace:
    """Read the command line."""
    parser = CommandParser("track", "Track the objects of one or more masks through a video.")
    parser.add_argument(
        "video",
        metavar="VIDEO",
        nargs="*",
        type=parse_source,
        help="video file, image folder, TIFF stack, rtsp:// or http:// address, camera (/dev/video0), or - for "
        "standard input; several videos are jobs, with their masks beside them",
    )
    add_mask_and_output_options(parser)
    add_prompt_options(parser)
    add_tracking_options(parser)
    add_source_options(parser)
    parser.add_argument_group("many videos").add_argument(
        "--jobs",
        metavar="LIST",
        type=Path,
        help="CSV or JSON-lines file, or a folder of videos with their masks beside them; resumes; torchrun "
        "distributes the jobs",
    )
    add_tracker_options(parser, memory_budget=True)
    parser.add_argument(
        "--size",
        choices=SIZES,
        help="sets input.scale to 0.6, 0.8 or 1: smaller is faster and less accurate (default: full)",
    )
    add_shared_options(parser, "--dry-run")
    args = parser.parse_args(argv)
    args.several = args.jobs is not None or len(args.video) > 1
    if not args.print_config and ["help"] not in args.write:
        require_arguments(parser, args)
    if args.size is not None:
        args.overrides = [*args.overrides, f"input.scale={SIZES[args.size]}"]
    return args


def add_mask_and_output_options(parser: CommandParser) -> None:
    """Add masks and outputs, the options of nearly every call."""
    group = parser.add_argument_group("masks and outputs")
    group.add_argument(
        "--mask",
        metavar="[FRAME:]FILE",
        action="append",
        default=[],
        help="PNG with one object id per pixel (0: background) for FRAME (default: the first); or annotations of "
        "several frames: COCO, a folder of masks, or a format of an installed package; may be repeated",
    )
    group.add_argument("--output", metavar="DIR", type=Path, help="folder for the results")
    group.add_argument(
        "--write",
        metavar="LIST",
        action="append",
        type=parse_output_names,
        default=[],
        help="outputs, comma-separated, or help to list them all; may be repeated (default: masks,overlay)",
    )
    group.add_argument("--no-overlay", action="store_true", help="leave the overlay out of --write")
    group.add_argument(
        "--review",
        action="store_true",
        help="write review.json, and print which objects were lost and which frames to check",
    )
    add_shared_options(group, "--force", "--restart")


def add_tracking_options(parser: CommandParser) -> None:
    """Add how masks are tracked."""
    group = parser.add_argument_group("tracking")
    group.add_argument(
        "--both-directions",
        action="store_true",
        help="track forward and backward from every --mask and merge; each mask must label every object in its frame",
    )
    group.add_argument(
        "--remove",
        metavar="FRAME:ID",
        action="append",
        type=argument_type(parse_removal),
        default=[],
        help="stop tracking an object at this frame; may be repeated",
    )


def add_source_options(parser: CommandParser) -> None:
    """Add which frames are tracked, and how the source is read."""
    group = parser.add_argument_group("source")
    for name, position in (("--start", "first"), ("--end", "last")):
        group.add_argument(
            name,
            metavar="FRAME",
            type=NOT_NEGATIVE,
            help=f"{position} frame to track; a list of jobs has it as a column (default: the {position} of the video)",
        )
    group.add_argument(
        "--frame-numbers",
        choices=("index", "file"),
        default="index",
        help="numbers of frames on the command line: counted from 0, or those in the file names of an image folder",
    )
    add_shared_options(group, "--levels")
    group.add_argument("--realtime", action="store_true", help="drop frames to keep up with the source")
    group.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=ABOVE_ZERO,
        default=30.0,
        help="stop after SECONDS without a frame (default: 30)",
    )


def parse_source(text: str) -> str:
    """Return the path of a file:// address, and any other source as it is."""
    if not text.lower().startswith("file://"):
        return text
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    return url2pathname(urlsplit(text).path)


def parse_output_names(text: str) -> list[str]:
    """Return the names of a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def parse_removal(text: str) -> tuple[int, int]:
    """Return (frame, object id) of "30:2"; raise `InputError` if these are not two whole numbers."""
    match = re.fullmatch("([0-9]{1,9}):(0*[1-9][0-9]{0,8})", text)
    if match is None:
        raise InputError(f"{text[:40]}: expected FRAME:ID, for example 30:2")
    return int(match[1]), int(match[2])


def require_arguments(parser: CommandParser, args: Namespace) -> None:
    """Refuse a command line without a video, masks or output, or with options of one video beside several."""
    single = {
        "VIDEO": args.jobs and args.video, "--mask": args.mask, "--box": args.box, "--point": args.point,
        "--not-point": args.not_point,
        "--realtime": args.realtime, "--memory-budget": args.memory_budget, "--start": args.start is not None,
        "--end": args.end is not None, "--dry-run": args.dry_run,
    }  # fmt: skip
    refused = [name for name, value in single.items() if value]
    if args.several and refused:
        parser.error(f"{refused[0]}: applies to a single video; leave it out")
    required = {
        "a VIDEO": args.video or args.jobs,
        "a mask (--mask, --box or --point)": args.several or args.mask or args.box or args.point,
        "--output DIR": args.output or args.dry_run,
    }
    missing = [name for name, value in required.items() if not value]
    if missing:
        parser.error(f"missing: {', '.join(missing)}")


def read_options(args: Namespace) -> TrackOptions:
    """Return the options of `track`; raise `InputError` if they contradict each other."""
    from aotlab.engine.video.track import TrackOptions

    write = [name for names in args.write for name in names] or parse_output_names(DEFAULT_WRITE)
    write += ["review"] if args.review else []
    return TrackOptions(
        write=tuple(name for name in dict.fromkeys(write) if name != "overlay" or not args.no_overlay),
        both_directions=args.both_directions,
        realtime=args.realtime,
        timeout=args.timeout,
        removals=tuple(args.remove),
        by_name=args.frame_numbers == "file",
    )


def read_job(args: Namespace) -> Job:
    """Return the job of the one video."""
    from aotlab.engine.video.job import Job

    return Job(
        args.output.name if args.output else "", args.video[0], tuple(args.mask),
        levels=args.levels, start=args.start, end=args.end,
    )  # fmt: skip


def track_one(args: Namespace, tracker: TrackerOptions, options: TrackOptions) -> int:
    """Track one video, or resume it; return the exit status."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            f"{args.video[0]}: torchrun distributes several videos only; start one without torchrun"
        )
    from aotlab.engine.video.job import describe_inputs, run_job

    prompts = (
        args.box,
        args.point,
        args.not_point,
        args.segmenter_plugin,
        list(map(str, args.segmenter or ())),
    )
    result = run_job(
        read_job(args),
        args.output,
        tracker,
        options,
        inputs=describe_inputs(tracker, options) | {"prompts": prompts, "budget": args.memory_budget},
        memory_budget=args.memory_budget,
        make_masks=lambda source, numbers, first: save_prompted_masks(args, source, numbers, first),
        force=args.force,
        restart=args.restart or args.force,
    )
    if result is None:
        print(f"{args.output}: already tracked with these inputs; --restart tracks it again")
        return 0
    return summarize(result, realtime=args.realtime)


def save_prompted_masks(args: Namespace, source: FrameSource, numbers: FrameNumbers, first: int) -> list[str]:
    """Write the masks of boxes and points below ``--output``; return them as values of ``--mask``.

    Args:
        first: index of the first tracked frame, to which prompts without a frame belong.

    Raises:
        InputError: a prompt is invalid or finds no pixel, or the source is a stream.
    """
    if not (args.box or args.point or args.not_point):
        return []
    from aotlab.engine.tracking.segmenters import load_segmenter, segment_objects
    from aotlab.media.masks import write_mask
    from aotlab.media.prompt import parse_prompts

    if not Path(args.video[0]).exists():
        raise InputError(
            f"{args.video[0]}: --box and --point need a video file or a folder; give --mask for a stream"
        )
    by_number = parse_prompts(args.box, args.point, args.not_point, first_frame=numbers.number(first))
    prompts = {numbers.index(number): by_object for number, by_object in by_number.items()}
    segmenter = load_segmenter(args.segmenter, plugin=args.segmenter_plugin, checkpoint=args.checkpoint)
    values = []
    for frame in sorted(prompts):
        image = source.read(frame)
        path = args.output / "given" / f"{frame:05d}.png"
        write_mask(path, segment_objects(image, prompts[frame], segmenter))
        values.append(f"{numbers.number(frame)}:{path}")
    return values


def summarize(result: TrackResult, *, realtime: bool) -> int:
    """Print what was written and what went wrong; return the exit status."""
    if result.levels is not None:
        origin = (
            "found in the video; --levels LOW,HIGH states others" if result.levels.estimated else "as stated"
        )
        print(f"levels {result.levels} ({origin})")
    results = " and ".join(map(str, result.written.values())) or "no complete output"
    skipped = f", {result.dropped} skipped" if realtime else ""
    resumed = f", {result.restored} of them before" if result.restored else ""
    frames = format_count(result.frames, "frame")
    print(f"{frames}{resumed} at {result.frames_per_second:.1f} frames per second{skipped}: {results}")
    for summary in result.summaries:
        print(summary)
    if result.damaged:
        listed = ", ".join(map(str, result.damaged[:MAX_LISTED])) + ", ..." * (
            len(result.damaged) > MAX_LISTED
        )
        damaged = format_count(len(result.damaged), "damaged frame")
        print(f"warning: the decoder filled in {damaged}: {listed}", file=sys.stderr)
    if result.lost:
        pieces = format_count(result.lost, "damaged piece")
        print(f"warning: {pieces} of the stream left out", file=sys.stderr)
    if result.error is not None:
        print(f"error: {result.error}", file=sys.stderr)
        return 1
    if result.interrupted:
        print(f"interrupted: the results hold the first {frames}; the same command resumes", file=sys.stderr)
        return INTERRUPTED
    return 0


def dry_run(args: Namespace, options: TrackOptions) -> int:
    """Check the video, its masks and prompts, print what would be tracked and write nothing. Return 0."""
    from aotlab.engine.tracking.segmenters import crop_box
    from aotlab.engine.video.inputs import load_masks
    from aotlab.engine.video.job import open_job
    from aotlab.media.prompt import parse_prompts

    source, numbers, options = open_job(read_job(args), options)
    masks = load_masks(args.mask, source, numbers, options.frames)
    prompts = parse_prompts(
        args.box, args.point, args.not_point, first_frame=numbers.number(options.frames.first)
    )
    for frame, by_object in prompts.items():
        if source.length is not None and numbers.index(frame) >= source.length:
            raise InputError(
                f"prompt of frame {frame}: the video holds {source.length} frames; give an earlier one"
            )
        for object_id, prompt in by_object.items():
            crop_box(prompt, object_id, source.size)
    objects = set(masks.annotations.objects()).union(*prompts.values())
    frames = "frames until its end" if source.length is None else format_count(source.length, "frame")
    height, width = source.size
    print(f"{args.video[0]}: {frames} of {width}×{height}, {format_count(len(objects), 'object')} to track")
    return 0


def track_several(args: Namespace, tracker: TrackerOptions, options: TrackOptions) -> int:
    """Track all jobs, distributed over the ranks; return 1 if one failed, else 0.

    Raises:
        InputError: bad list of jobs, or an output folder that cannot be written or holds results of another run.
    """
    from aotlab.engine.video.batch import run_jobs
    from aotlab.engine.video.job_list import list_video_jobs, read_jobs
    from aotlab.utils.distributed import join_process_group
    from aotlab.utils.processes import stop_flag

    jobs = read_jobs(args.jobs) if args.jobs else list_video_jobs(args.video)
    jobs = [replace(job, levels=job.levels or args.levels) for job in jobs]
    with join_process_group(args.device, timeout=RANK_TIMEOUT) as world, stop_flag() as stop:
        records = run_jobs(
            jobs,
            args.output,
            tracker,
            options,
            world=world,
            stop=stop,
            force=args.force,
            restart=args.restart,
        )
        if not world.is_main:
            return 0
        failed = [record for record in records if record.error is not None]
        tracked = f"{len(records) - len(failed)} of {format_count(len(jobs), 'video')} tracked"
        print(f"{tracked}: {args.output / 'summary.csv'}")
        if stop.is_set():
            print("interrupted: run the same command again to resume", file=sys.stderr)
            return SIGNAL_STATUS + stop.signal_number
        for record in failed:
            print(f"error: {record.name}: {record.error}", file=sys.stderr)
        return 1 if failed else 0


def print_outputs() -> int:
    """Print the names of all outputs with what they hold; return 0."""
    from aotlab.engine.video.outputs import find_output, list_outputs

    names = list_outputs()
    for name in names:
        print(f"{name:{max(map(len, names))}}  {find_output(name).description}")
    return 0


def require_masks(values: Sequence[str]) -> None:
    """Raise `InputError` for the first missing file of ``[FRAME:]FILE`` values."""
    require_paths(*(re.sub(r"^[0-9]+:", "", value) for value in values))


@command
def main(argv: list[str] | None = None) -> int:
    """Track one or several videos; return 1 if one ended early."""
    args = parse(argv)
    if ["help"] in args.write:
        return print_outputs()
    require_model(args.checkpoint, args.config)
    if not (args.several or args.print_config):
        require_source(args.video[0])
        require_masks(args.mask)
        require_extra("video")
    tracker = read_tracker_options(args)
    for name in ("memory_frames", "memory_budget"):
        if getattr(args, name) is not None:
            require_bounded(tracker.read_settings(), f"--{name.replace('_', '-')}")
    if args.print_config:
        print(tracker.settings_as_yaml(), end="")
        return 0
    options = read_options(args)
    if args.several:
        return track_several(args, tracker, options)
    return dry_run(args, options) if args.dry_run else track_one(args, tracker, options)


if __name__ == "__main__":
    sys.exit(main())
