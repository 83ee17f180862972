"""Track objects in a video: ``aotlab track video.mp4 --box 100,60,50,40``."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click import UsageError

from aotlab.media.names import VIDEO_SUFFIXES
from aotlab.tools.cli.command import SIGNAL_EXIT_BASE, command, find_given_option, option_group
from aotlab.tools.cli.options import force_results, print_settings, shard_option, tracker_options
from aotlab.tools.cli.types import ExistingPath, FileName, Folder, flag, list_option, option
from aotlab.utils.errors import InputError, require, require_modules
from aotlab.utils.files import is_file_name, sibling_path
from aotlab.utils.shards import Shard
from aotlab.utils.text import join_truncated, strip_credentials
from aotlab_video.commands.options import (
    Frame,
    frame_numbers_option,
    mask_format,
    mask_start_number,
    parse_output_name,
    prompt_options,
    segmenter_option,
    source_option,
    split_settings,
    video_argument,
)
from aotlab_video.commands.track_report import STATUSES, describe_run, report_jobs, report_plans, report_result
from aotlab_video.masks.value_syntax import FRAME_AND_OBJECT, parse_removal
from aotlab_video.sources.location import locate_video

if TYPE_CHECKING:
    from aotlab_video.runs.lists import Batch
    from aotlab_video.runs.prepare import PreparedRun

RESULTS_SUFFIX = ".tracked"
"""Suffix of the default output folder."""
NON_VIDEO_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".json", ".xml")
"""Suffixes of mask files, which are never videos."""
FILE_PATTERN = re.compile(r"[*?#]|%\d*d")
"""Wildcard or frame number in the name of files, as other programs read them."""
ONE_VIDEO = "one video (a list has columns instead)"
"""Title of the options that only one video may have."""


def require_videos(videos: Sequence[str], job_list: Path | None) -> None:
    """Raise an error unless there are either videos or a list, or if a file or folder does not exist."""
    if job_list and videos:
        raise UsageError(f"{strip_credentials(videos[0])}: give a VIDEO or --jobs, not both")
    require(job_list or videos, "no video given", remedy="give a video file, a folder of frames, a URL or a camera")
    for kind, text in map(locate_video, videos):
        if kind == "stored" and not os.path.exists(text):
            remedy = "check the spelling, and put a path with spaces in quotes"
            if FILE_PATTERN.search(Path(text).name) and Path(text).parent.is_dir():
                remedy = f"give the folder {Path(text).parent}"
            raise InputError("no such file or folder", subject=text, remedy=remedy)
        if len(videos) > 1 and Path(text).suffix.lower() in NON_VIDEO_SUFFIXES:
            raise InputError("not a video", subject=text, remedy=f"did you mean --mask {text}?")


def default_output(source: str) -> Path:
    """Return the default folder of a video or list: next to it, for a stream in the working directory."""
    location = locate_video(source)
    path = Path(location.text)
    if location.kind in ("stored", "pipe") and str(path.parent) not in ("/dev", "/dev/fd"):
        return sibling_path(path, RESULTS_SUFFIX)
    return Path(re.sub(r"[^\w.-]+", "_", location.name) + RESULTS_SUFFIX)


def require_mask_syntax(masks: Sequence[str]) -> None:
    """Raise `InputError` for a missing file with ``:`` between frame and path in place of ``=``."""
    for mask in masks:
        head, _, file = mask.rpartition(":")
        if head and "=" not in mask and FRAME_AND_OBJECT.fullmatch(head) and not os.path.lexists(mask):
            raise InputError("no such file", subject=f"--mask {mask}", remedy=f"did you mean {head}={file}?")


def track_video(prepared: PreparedRun, *, force: bool, dry_run: bool) -> int:
    """Track a video into a folder, or resume it; return the exit code."""
    from aotlab_video.runs.run import plan_action, run

    folder, action = prepared.folder, plan_action(prepared, force=force)
    if dry_run or (action != "reuse" and logging.getLogger("aotlab").isEnabledFor(logging.INFO)):
        print(f"{describe_run(prepared)}, into {folder}", flush=True)
    if dry_run:
        print(f"status: {STATUSES[action]}")
        return 0
    return report_result(run(prepared, force=force), folder, realtime=prepared.options.realtime)


def track_list(batch: Batch, folder: Path, shard: Shard | None) -> int:
    """Track a list of videos or a shard of it; return the exit code."""
    from aotlab.utils.signals import stop_flag

    with stop_flag() as stop:
        outcomes = batch.track(stop, shard)
    status = report_jobs(outcomes, folder, shard, batch.summary_error)
    if stop.is_set():
        names = [outcome.job.name for outcome in outcomes if outcome.status == "waiting"]
        remainder = f", not finished: {join_truncated(names)}" if names else ""
        print(f"interrupted{remainder}; the same command resumes", file=sys.stderr)
        return SIGNAL_EXIT_BASE + stop.signal_number
    return status


@command(
    "aotlab track",
    epilog="[FRAME][:ID]= before a value sets its frame and its object: 2=X,Y is for frame 2, :2=X,Y for object 2, "
    "40:2=X,Y for both (default: the first frame; object 1, or the ids of a mask). A LIST is comma-separated; "
    "repeating the option adds to it.\n\n\b\nExamples:\n"
    "  aotlab track video.mp4 --box 150,2,310,410 --negative-point 170,230\n"
    "  aotlab track video.mp4 --mask first.png --mask 58=corrected.png\n"
    "  aotlab track --jobs videos --output results --write masks,coco",
)
@video_argument(
    "[VIDEO]...",
    "video file, image folder, TIFF stack, rtsp:// or http:// URL, camera (0, or /dev/video0), or - for standard "
    "input; several videos are tracked as with --jobs",
    type=FileName(str),
)
@option_group(
    ONE_VIDEO,
    option(
        "--mask",
        "masks",
        metavar="[[FRAME][:ID]=]FILE",
        multiple=True,
        type=FileName(str),
        help="PNG with one object id per pixel (0: background), a folder of them, COCO, or a format of an installed "
        "package; repeat it for more files (default without a prompt: files next to the video)",
    ),
    *prompt_options(),
    segmenter_option(),
    option(
        "--class",
        "classes",
        metavar="[:ID=]NAME",
        multiple=True,
        help="class name of an object, for annotation files; repeat it for each object (default: object 1)",
    ),
    list_option("--remove", "stop tracking object ID from a frame on: FRAME:ID", parse_removal, field="removals"),
    option(
        "--start",
        type=Frame,
        help="first frame to track, or its time code, such as 01:00:10:12 (default: the first of the video)",
    ),
    option("--end", type=Frame, help="last frame to track, or its time code (default: the last of the video)"),
    source_option(),
)
@option_group(
    "results",
    option(
        "--output",
        type=Folder,
        help=f"folder for the results (default: NAME{RESULTS_SUFFIX} next to the video or list, for a stream or "
        "several videos in the working directory)",
    ),
    list_option(
        "--write", "outputs, comma-separated, or help to list them all (default: masks,overlay)", parse_output_name
    ),
    force_results,
    flag("--dry-run", "check all inputs and write nothing"),
)
@option_group(
    "tracking",
    flag("--both-directions", "track forward and backward from every mask and prompt and merge both"),
    frame_numbers_option,
    mask_start_number,
    mask_format,
    flag("--realtime", "drop frames to keep up with the source"),
)
@option_group(
    "many videos",
    option(
        "--jobs",
        "job_list",
        type=ExistingPath,
        help="list of videos (CSV or JSON lines), or a folder of videos with their masks next to them",
    ),
    shard_option("track", "videos"),
)
@tracker_options()
def main(
    *, video: tuple[str, ...], job_list: Path | None, shard: Shard | None, output: Path | None, force: bool,
    dry_run: bool, **given: Any,
) -> int:  # fmt: skip
    from aotlab import TrackerOptions
    from aotlab_video.runs.lazy_tracker import LazyTracker

    video, overrides = split_settings(video)
    tracker = TrackerOptions(given["checkpoint"], given["config"], overrides, given["device"])
    if given["print_config"]:
        return print_settings(tracker.read_settings())
    if given["strict"]:
        tracker.require_trained_code()
    require_videos(video, job_list)
    is_single = len(video) == 1
    if shard is not None and is_single:
        raise UsageError("--shard: applies to runs of several videos; give --jobs")
    if shard is not None and dry_run:
        raise UsageError("--dry-run: checks all videos of a list; remove --shard")
    if given["realtime"] and not is_single:
        raise UsageError("--realtime: applies to a single video; remove it")
    if given["realtime"] and given["both_directions"]:
        raise UsageError("--realtime: cannot be combined with --both-directions, which needs later frames; remove one")
    if output is not None and output.suffix.lower() in VIDEO_SUFFIXES and not output.is_dir():
        remedy = "give a folder, and --write overlay for a video in it"
        raise InputError("not a folder", subject=f"--output {output}", remedy=remedy)
    require_mask_syntax(given["masks"])
    from aotlab.sdk import build
    from aotlab_video.runs.job import COLUMNS, Job, RunOptions
    from aotlab_video.runs.prepare import prepare

    values = {name: given[name] for name in ("both_directions", "realtime", "mask_start_number", "mask_format")}
    write = {"write": tuple(dict.fromkeys(given["write"]))} if given["write"] else {}
    options = build(RunOptions, {**values, **write, "by_name": given["frame_numbers"] == "file"})
    if is_single:
        folder = output or default_output(video[0])
        values = {name: given[name] for name in COLUMNS if name in given}
        values["name"] = folder.name if is_file_name(folder.name) else "video"
        job = build(Job, {**values, "video": video[0]})
        if job.segmenter and not (job.boxes or job.points or job.negative_points):
            raise UsageError("--segmenter: no prompt to make a mask from; give --box or --point, or remove it")
        require_modules("av", "cv2", "pycocotools", "tqdm")
        prepared = prepare(job, folder, LazyTracker(tracker), options)
        return track_video(prepared, force=force, dry_run=dry_run)
    if (name := find_given_option(ONE_VIDEO)) is not None:
        # the shell splits "1, 2" into two arguments
        remedy = "use a column of --jobs, or separate values by commas without spaces"
        if job_list is not None and job_list.is_dir():
            remedy = "remove it, or give --jobs a list instead of a folder"
        raise UsageError(f"{name}: applies to a single video; {remedy}")
    from aotlab_video.runs.job_list import list_video_jobs, read_jobs
    from aotlab_video.runs.lists import Batch

    folder = output or (default_output(str(job_list)) if job_list else Path(f"videos{RESULTS_SUFFIX}"))
    jobs = read_jobs(job_list) if job_list else list_video_jobs(video)
    batch = Batch(jobs, folder, tracker, options, force=force)
    return report_plans(batch.plan()) if dry_run else track_list(batch, folder, shard)
