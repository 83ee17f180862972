"""Track objects in a video: ``aotlab track video.mp4 --box 100,60,50,40``."""

from __future__ import annotations

import os
import re
import shutil
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from click import UsageError

from aotlab.tools.cli.command import command, group, require_paths, require_source
from aotlab.tools.cli.options import (
    PLACES,
    dry_run,
    force,
    levels,
    prompt_options,
    quality,
    read_tracker_options,
    require_bounded,
    restart,
    tracker_options,
    video_argument,
)
from aotlab.tools.cli.stdio import SIGNAL_STATUS
from aotlab.tools.cli.types import (
    Choice,
    File,
    FileName,
    Folder,
    NonNegativeInt,
    Parsed,
    PositiveFloat,
    flag,
    list_option,
    option,
)
from aotlab.utils.errors import InputError, require_extra
from aotlab.utils.files import is_folder, real_path
from aotlab.utils.numbers import format_bytes, format_count
from aotlab.utils.value_syntax import ADDRESS, CAMERA_NUMBER, PLACE, parse_frame_object, strip_credentials

if TYPE_CHECKING:
    from aotlab.engine.tracking.options import TrackerOptions
    from aotlab.utils.distributed import Shard
    from aotlab.video.job import CheckedJob, Job, JobRecord
    from aotlab.video.track import JobOptions, TrackResult

DEFAULT_WRITE = ("masks", "overlay")
RESULTS = ".tracked"
"""suffix of the default output folder"""
MAX_LISTED = 20
"""largest number of damaged frames, and of cuts, that are named"""
RANK_TIMEOUT = timedelta(days=30)
"""timeout of ranks that wait for longer jobs"""


def parse_source(text: str) -> str:
    """Return the path of a file:// address, and any other source as it is."""
    if not text.lower().startswith("file://"):
        return text
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    return url2pathname(urlsplit(text).path)


def parse_removal(text: str) -> tuple[int, int]:
    """Return (frame, object id) of "30:2"; raise `InputError` if these are not two whole numbers."""
    match = PLACE.fullmatch(text)
    if match is None or not match["frame"] or not int(match["object_id"] or 0):
        raise InputError(f"{text[:40]}: expected FRAME:ID, for example 30:2")
    return int(match["frame"]), int(match["object_id"])


def parse_shard(text: str) -> Shard:
    """Return the shard of ``I/N`` or ``auto``; errors as `Shard.parse`."""
    from aotlab.utils.distributed import Shard

    return Shard.parse(text)


def require_arguments(args: Namespace) -> None:
    """Refuse a command line without a video or its objects, or with options of one video for several."""
    several = is_list(args)
    single = {
        "VIDEO": args.jobs and args.video, "--mask": args.mask, "--box": args.box, "--point": args.point,
        "--not-point": args.not_point, "--class": args.class_names, "--realtime": args.realtime,
        "--start": args.start is not None, "--end": args.end is not None,
    }  # fmt: skip
    refused = [name for name, value in single.items() if value]
    for source in args.video:
        require_source(source, "put a path with spaces in quotes, and separate a list by commas")
    if several and refused:
        raise UsageError(
            f"{refused[0]}: applies to a single video; leave it out, or separate its values by commas without spaces"
        )
    if not several and (args.shard or args.summarize):
        raise UsageError(
            f"{'--shard' if args.shard else '--summarize'}: applies to several videos; give --jobs"
        )
    if not (args.video or args.jobs):
        raise UsageError("VIDEO: missing; give a video file, a folder of frames, an address or a camera")
    if not (several or args.mask or args.box or args.point):
        raise UsageError(
            f"{strip_credentials(args.video[0])}: no object to track; draw a box with --box X,Y,W,H or give --mask FILE"
        )


def is_list(args: Namespace) -> bool:
    """Return whether a command line has several videos, or a list of them."""
    return args.jobs is not None or len(args.video) > 1


def default_output(args: Namespace) -> Path:
    """Return the folder next to the video or list, named after it; of streams and several videos in the current one."""
    if len(args.video) > 1:
        return Path(f"videos{RESULTS}")
    source = strip_credentials(str(args.jobs or args.video[0]))
    if source == "-":
        return Path(f"stdin{RESULTS}")
    if ADDRESS.fullmatch(source) or source.startswith("/dev/"):
        name = re.sub(r"[^\w.-]+", "_", Path(source.partition("?")[0]).stem)
        return Path(f"{name}{RESULTS}")
    if CAMERA_NUMBER.fullmatch(source) and not Path(source).exists():
        return Path(f"camera{source}{RESULTS}")
    path = Path(source) if Path(source).name not in ("", "..") else real_path(Path(source))
    return path.with_name(f"{path.name if is_folder(path) else path.stem}{RESULTS}")


def read_options(args: Namespace) -> JobOptions:
    """Return the options of `track`; raise `InputError` if they contradict each other."""
    from aotlab.video.track import JobOptions

    write = [*(args.write or DEFAULT_WRITE), *(["review"] if args.review else [])]
    return JobOptions(
        write=tuple(name for name in dict.fromkeys(write) if name != "overlay" or not args.no_overlay),
        both_directions=args.both_directions,
        realtime=args.realtime,
        timeout=args.timeout,
        removals=tuple(args.remove),
        by_name=args.frame_numbers == "file",
        progress=not args.quiet,
    )


def read_job(args: Namespace) -> Job:
    """Return the job of the one video."""
    from aotlab.video.job import Job

    return Job(
        args.output.name, args.video[0], args.mask, levels=args.levels, start=args.start, end=args.end,
        boxes=args.box, points=args.point, not_points=args.not_point, classes=args.class_names,
        segmenter=args.segmenter_plugin or args.segmenter or (), rate=args.fps,
    )  # fmt: skip


def track_video(args: Namespace, tracker: TrackerOptions, options: JobOptions) -> int:
    """Track one video, or resume it; return the exit status."""
    from aotlab.utils.environment import count_ranks

    if count_ranks() > 1:
        raise InputError(
            f"{strip_credentials(args.video[0])}: torchrun distributes several videos only; start one without torchrun"
        )
    from aotlab.video.job import check_job, digest_inputs, result_settings

    checked = check_job(read_job(args), options)
    if not args.quiet or args.dry_run:
        print(f"{describe(checked)}, into {args.output}", flush=True)
    reject_ineffective_options(args, tracker)
    digest = digest_inputs(checked.job, result_settings(tracker, options))
    result = checked.run(
        args.output, tracker.load, digest, force=args.force, restart=args.restart or args.force,
        dry_run=args.dry_run,
    )  # fmt: skip
    if args.dry_run:
        require_space(args.output, checked.estimate_bytes())
        return 0
    if result is None:
        print(f"{args.output}: already tracked with these inputs; --restart tracks it again")
        return 0
    return summarize(result, realtime=args.realtime)


def describe(checked: CheckedJob) -> str:
    """Return the video, with the numbers of frames and objects to track, and the rate of images."""
    from aotlab.media.frames import ImageFrames

    count = checked.frames.count
    frames = "frames until its end" if count is None else format_count(count, "frame")
    height, width = checked.source.size
    objects = format_count(len(checked.objects), "object")
    rate = ""
    if isinstance(checked.source, ImageFrames):
        rate = f", {float(checked.source.rate):.5g} frames per second"
        rate += "" if checked.job.rate else " (--fps changes it)"
    return f"{strip_credentials(checked.job.video)}: {frames} of {width}×{height}, {objects} to track{rate}"


def require_space(output: Path, needed: int) -> None:
    """Print how many bytes results take; raise `InputError` if the disk has fewer."""
    existing = next(path for path in output.absolute().parents if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise InputError(
            f"{output}: the results take about {format_bytes(needed)}, but {format_bytes(free)} are free; free space, "
            "write fewer outputs, or choose another folder"
        )
    print(f"results: about {format_bytes(needed)}; {format_bytes(free)} free")


def summarize(result: TrackResult, *, realtime: bool) -> int:
    """Print what was written and what went wrong; return the exit status."""
    if result.levels is not None:
        origin = (
            "found in the video; --levels LOW,HIGH changes them" if result.levels.estimated else "as given"
        )
        print(f"levels {result.levels} ({origin})")
    results = " and ".join(map(str, result.written.values())) or "no complete output"
    skipped = f", {result.dropped_frames} skipped" if realtime else ""
    resumed = f", {result.restored_frames} of them before" if result.restored_frames else ""
    frames = format_count(result.frames, "frame")
    print(f"{frames}{resumed} at {result.frames_per_second:.1f} frames per second{skipped}: {results}")
    for summary in result.summaries:
        print(summary)
    if result.cuts:
        print(f"{format_count(len(result.cuts), 'cut')}, before frame {list_numbers(result.cuts)}")
    if result.damaged_frames:
        damaged = format_count(len(result.damaged_frames), "damaged frame")
        listed = list_numbers(result.damaged_frames)
        print(f"warning: the decoder filled in {damaged}: {listed}", file=sys.stderr)
    if result.corrupt_packets:
        pieces = format_count(result.corrupt_packets, "corrupt packet")
        print(f"warning: {pieces} of the stream left out", file=sys.stderr)
    if result.error is not None:
        print(f"error: {result.error}", file=sys.stderr)
        return 1
    if result.interrupted:
        print(f"interrupted: the results hold the first {frames}; the same command resumes", file=sys.stderr)
        return SIGNAL_STATUS + result.signal_number
    return 0


def list_numbers(numbers: Sequence[int]) -> str:
    """Return the first `MAX_LISTED` numbers with commas."""
    return ", ".join(map(str, numbers[:MAX_LISTED])) + ", ..." * (len(numbers) > MAX_LISTED)


def track_several(args: Namespace, tracker: TrackerOptions, options: JobOptions) -> int:
    """Track all jobs, distributed over the ranks; return 1 if one failed, else 0.

    Raises:
        InputError: bad list of jobs, or an output folder that cannot be written or holds results of another run.
    """
    from aotlab.utils.processes import stop_flag
    from aotlab.video.job_list import list_video_jobs, read_jobs

    jobs = read_jobs(args.jobs) if args.jobs else list_video_jobs(args.video)
    segmenter = args.segmenter_plugin or args.segmenter or ()
    jobs = [
        replace(job, levels=job.levels or args.levels, rate=job.rate or args.fps, segmenter=segmenter)
        for job in jobs
    ]
    force, restart = args.force, args.restart
    if args.dry_run:
        reject_ineffective_options(args, tracker)
        return check_list(args, jobs, tracker, options)
    if args.summarize:
        from aotlab.video.batch import summarize_jobs

        records = summarize_jobs(jobs, args.output, options.write)
        return max(report_jobs(records, len(jobs), args.output), int(len(records) < len(jobs)))
    reject_ineffective_options(args, tracker)
    if not args.quiet and os.environ.get("RANK", "0") == "0":
        print(f"{format_count(len(jobs), 'video')} to track, into {args.output}", flush=True)
    from aotlab.utils.distributed import join_process_group
    from aotlab.video.batch import run_jobs, run_shard

    if args.shard is not None:
        with stop_flag() as stop:
            records = run_shard(
                jobs, args.output, tracker, options, shard=args.shard, stop=stop, force=force, restart=restart
            )
        status = report_jobs(records, len(records), args.output, f" in shard {args.shard}")
    else:
        with join_process_group(args.device, timeout=RANK_TIMEOUT) as world, stop_flag() as stop:
            records = run_jobs(
                jobs, args.output, tracker, options, world=world, stop=stop, force=force, restart=restart
            )
        if not world.is_main:
            return 0
        status = report_jobs(records, len(jobs), args.output)
    if stop.is_set():
        print("interrupted: run the same command again to resume", file=sys.stderr)
        return SIGNAL_STATUS + stop.signal_number
    return status


def check_list(args: Namespace, jobs: Sequence[Job], tracker: TrackerOptions, options: JobOptions) -> int:
    """Print which videos can be tracked and an error for each of the others; return 1 if there is one, else 0."""
    from aotlab.video.batch import check_jobs

    faults = needed = 0
    for job, checked in zip(
        jobs, check_jobs(jobs, args.output, tracker, options, force=args.force), strict=True
    ):
        if isinstance(checked, InputError):
            faults += 1
            print(f"error: {job.name}: {checked}", file=sys.stderr)
        else:
            needed += checked.estimate_bytes()
            print(describe(checked))
    print(f"{len(jobs) - faults} of {format_count(len(jobs), 'video')} can be tracked")
    require_space(args.output, needed)
    return 1 if faults else 0


def report_jobs(records: Sequence[JobRecord], count: int, output: Path, where: str = "") -> int:
    """Print how many of ``count`` videos were tracked and the errors of the others; return 1 if one failed, else 0."""
    failed = [record for record in records if record.error is not None]
    results = output if where else output / "summary.csv"
    print(f"{len(records) - len(failed)} of {format_count(count, 'video')} tracked{where}: {results}")
    for record in failed:
        print(f"error: {record.name}: {record.error}", file=sys.stderr)
    return 1 if failed else 0


def print_outputs() -> int:
    """Print the names of all outputs with what they hold; return 0."""
    from aotlab.video.outputs import find_output, list_outputs

    names = list_outputs()
    for name in names:
        print(f"{name:{max(map(len, names))}}  {find_output(name).description}")
    return 0


def reject_ineffective_options(args: Namespace, tracker: TrackerOptions) -> None:
    """Raise `InputError` if a bound of memory has no effect on the policy; reads the checkpoint."""
    if args.memory_frames is not None:
        require_bounded(tracker.read_settings(), "--memory-frames")


@command("aotlab track", "Track the objects of masks, boxes or points through a video.", epilog=PLACES)
@video_argument(
    "[VIDEO]...",
    "video file, image folder, TIFF stack, rtsp:// or http:// address, camera (0, or /dev/video0), or - for standard "
    "input; several videos are jobs, with their masks next to them",
    type=FileName(parse_source),
)
@group(
    "masks and outputs",
    option(
        "--mask",
        metavar="[[FRAME][:ID]=]FILE",
        multiple=True,
        type=FileName(str),
        help="PNG with one object id per pixel (0: background) for FRAME (default: the first), with ID of this object "
        "only; or annotations of several frames: COCO, a folder of masks, or a format of an installed package; may be "
        "repeated",
    ),
    option(
        "--output",
        type=Folder,
        help=f"folder for the results (default: NAME{RESULTS} next to the video, for a stream or several videos in the "
        "working directory)",
    ),
    list_option("--write", "outputs, comma-separated, or help to list them all (default: masks,overlay)"),
    flag("--no-overlay", "leave the overlay out of --write"),
    flag(
        "--review", "write review.json, and print which objects went out of sight and which frames to check"
    ),
    force,
    restart,
)
@prompt_options()
@group(
    "tracking",
    option(
        "--class",
        "class_names",
        metavar="[:ID=]NAME",
        multiple=True,
        help="class name of an object, for annotation files; a list of jobs has it as a column; may be repeated",
    ),
    flag(
        "--both-directions",
        "track forward and backward from every --mask and merge; each mask must label every object in its frame",
    ),
    list_option("--remove", "stop tracking an object at this frame: FRAME:ID", parse_removal),
)
@group(
    "source",
    option(
        "--start",
        type=NonNegativeInt,
        help="first frame to track; a list of jobs has it as a column (default: the first of the video)",
    ),
    option(
        "--end",
        type=NonNegativeInt,
        help="last frame to track; a list of jobs has it as a column (default: the last of the video)",
    ),
    option(
        "--frame-numbers",
        type=Choice(("index", "file")),
        default="index",
        help="numbers of frames on the command line: counted from 0, or those in the file names of an image folder",
    ),
    levels,
    option(
        "--fps",
        metavar="N",
        help="frames per second of an image folder or TIFF stack, for overlays and other videos (default: 24)",
    ),
    flag("--realtime", "drop frames to keep up with the source"),
    option(
        "--timeout",
        metavar="SECONDS",
        type=PositiveFloat,
        default=30.0,
        help="stop after SECONDS without a frame",
    ),
)
@group(
    "many videos",
    option(
        "--jobs",
        type=File,
        help="CSV or JSON-lines file, or a folder of videos with their masks next to them; resumes; torchrun "
        "distributes the jobs",
    ),
    option(
        "--shard",
        metavar="I/N",
        type=Parsed(parse_shard),
        help="track part I (from 0) of N of the jobs, independently of other processes; auto: from the variables of "
        "Slurm, torchrun or Kubernetes",
    ),
    flag("--summarize", "write summary.csv and reviews of jobs tracked in shards, and exit"),
)
@tracker_options()
@quality
@dry_run
def main(args: Namespace) -> int:
    """Track one or several videos; return 1 if one ended early."""
    if "help" in args.write:
        return print_outputs()
    tracker = read_tracker_options(args)
    if args.print_config:
        reject_ineffective_options(args, tracker)
        print(tracker.settings_as_yaml(), end="")
        return 0
    require_arguments(args)
    args.output = args.output or default_output(args)
    if is_list(args):
        return track_several(args, tracker, read_options(args))
    require_paths(*(parse_frame_object(value).value for value in args.mask))
    require_extra("video")
    return track_video(args, tracker, read_options(args))


if __name__ == "__main__":
    sys.exit(main())
