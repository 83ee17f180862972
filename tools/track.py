"""Track objects in a video: ``aotlab track video.mp4 --box 100,60,50,40``."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from click import UsageError

from aotlab.jobs.shards import Shard
from aotlab.media.location import locate_video
from aotlab.media.value_syntax import FRAME_AND_OBJECT
from aotlab.tools.cli.command import SIGNAL_EXIT_BASE, command, option_group
from aotlab.tools.cli.options import (
    force_results,
    print_settings,
    prompt_options,
    split_settings,
    tracker_options,
    video_argument,
)
from aotlab.tools.cli.track_report import (
    STATUSES,
    describe_run,
    report_disk_space,
    report_jobs,
    report_plans,
    report_result,
)
from aotlab.tools.cli.types import (
    Choice,
    ExistingPath,
    FileName,
    Folder,
    NonNegativeInt,
    ParsedType,
    PositiveFloat,
    flag,
    list_option,
    option,
)
from aotlab.utils.errors import InputError, require, require_modules
from aotlab.utils.files import is_file_name, sibling_path
from aotlab.utils.text import join_truncated, strip_credentials

if TYPE_CHECKING:
    from aotlab.engine.tracking.options import TrackerOptions
    from aotlab.jobs.job import Job, RunOptions

RESULTS_SUFFIX = ".tracked"
"""Suffix of the default output folder."""
NON_VIDEO_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".json", ".xml")
"""Suffixes of mask files, which are never videos."""


def parse_removal(text: str) -> tuple[int, int]:
    """Return (frame, object id) of "30:2"; raise `InputError` if these are not two whole numbers."""
    match = FRAME_AND_OBJECT.fullmatch(text)
    if match is None or not match["frame"] or not int(match["object_id"] or 0):
        raise InputError(f"{text[:40]}: expected FRAME:ID, for example 30:2")
    return int(match["frame"]), int(match["object_id"])


def require_videos(videos: Sequence[str], job_list: Path | None) -> None:
    """Raise an error unless there are either videos or a list, or if a file or folder does not exist."""
    if job_list and videos:
        raise UsageError(f"{strip_credentials(videos[0])}: give a VIDEO or --jobs, not both")
    require(job_list or videos, "VIDEO: missing; give a video file, a folder of frames, a URL or a camera")
    for kind, text in map(locate_video, videos):
        exists = kind != "stored" or Path(text).exists()
        require(exists, f"{text}: no such file or folder; check the spelling, and put a path with spaces in quotes")
        if len(videos) > 1 and Path(text).suffix.lower() in NON_VIDEO_SUFFIXES:
            raise InputError(f"{text}: not a video; did you mean --mask {text}?")


def require_unset(options: Mapping[str, object]) -> None:
    """Raise an error if one of these options of a single video is given for several."""
    for name, value in options.items():
        if value not in ((), None):
            # the shell splits "1, 2" into two arguments
            remedy = "use a column of --jobs, or separate values by commas without spaces"
            raise UsageError(f"{name}: applies to a single video; {remedy}")


def default_output(source: str) -> Path:
    """Return the default folder of a video or list: next to it, for a stream in the working directory."""
    location = locate_video(source)
    path = Path(location.text)
    if location.kind in ("stored", "pipe") and str(path.parent) not in ("/dev", "/dev/fd"):
        return sibling_path(path, RESULTS_SUFFIX)
    return Path(re.sub(r"[^\w.-]+", "_", location.name) + RESULTS_SUFFIX)


def print_outputs() -> int:
    """Print the names and descriptions of all outputs; return the exit code."""
    from aotlab.jobs.outputs import find_output, list_outputs

    names = list_outputs()
    for name in names:
        print(f"{name:{max(map(len, names))}}  {find_output(name).description}")
    return 0


def track_video(
    job: Job, folder: Path, tracker: TrackerOptions, options: RunOptions, *, force: bool, dry_run: bool
) -> int:
    """Track a video into a folder, or resume it; return the exit code."""
    from aotlab.engine.tracking.options import TrackerLoader
    from aotlab.jobs.prepare import prepare
    from aotlab.jobs.run import find_action, run

    prepared = prepare(job, folder, TrackerLoader(tracker), options)
    header = f"{describe_run(prepared)}, into {folder}"
    if dry_run:
        action = find_action(prepared, force=force)
        print(f"{header}\nstatus: {STATUSES[action]}")
        if action != "reuse":
            report_disk_space(folder, prepared.estimate_bytes())
        return 0
    if logging.getLogger("aotlab").isEnabledFor(logging.INFO):
        print(header, flush=True)
    return report_result(run(prepared, force=force), folder, realtime=options.realtime)


def track_list(
    jobs: Sequence[Job],
    folder: Path,
    tracker: TrackerOptions,
    options: RunOptions,
    shard: Shard | None,
    *,
    name: str,
    force: bool,
    dry_run: bool,
) -> int:
    """Track a list of videos or a shard of it; return the exit code."""
    from aotlab.jobs.batch import Batch
    from aotlab.utils.signals import stop_flag

    batch = Batch(jobs, folder, tracker, options, name=name, force=force)
    if dry_run:
        return report_plans(batch.plan(), folder)
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
    "  aotlab track video.mp4 --box 150,2,310,410 --not-point 170,230\n"
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
    "masks and outputs",
    option(
        "--mask",
        "masks",
        metavar="[[FRAME][:ID]=]FILE",
        multiple=True,
        type=FileName(str),
        help="PNG with one object id per pixel (0: background), a folder of them, COCO, or a format of an installed "
        "package; repeat it for more files (default without a prompt: files next to the video)",
    ),
    option(
        "--output",
        type=Folder,
        help=f"folder for the results (default: NAME{RESULTS_SUFFIX} next to the video or list, for a stream or "
        "several videos in the working directory)",
    ),
    list_option("--write", "outputs, comma-separated, or help to list them all (default: masks,overlay)"),
    flag("--soft", "store the edges' probabilities, so that alpha, mattes and prores can be written later"),
    flag("--review", "write review.json, and print which objects were lost and which frames to check"),
    force_results,
    flag("--dry-run", "check all inputs and write nothing"),
)
@prompt_options()
@option_group(
    "tracking",
    option(
        "--class",
        "classes",
        metavar="[:ID=]NAME",
        multiple=True,
        help="class name of an object, for annotation files; repeat it for each object (default: object 1)",
    ),
    flag("--both-directions", "track forward and backward from every mask and prompt and merge both"),
    list_option("--remove", "stop tracking object ID from a frame on: FRAME:ID", parse_removal),
)
@option_group(
    "source",
    option(
        "--start",
        type=NonNegativeInt,
        help="first frame to track; a list has the column start instead (default: the first of the video)",
    ),
    option(
        "--end",
        type=NonNegativeInt,
        help="last frame to track; a list has the column end instead (default: the last of the video)",
    ),
    option(
        "--frame-numbers",
        type=Choice(("index", "file")),
        default="index",
        help="frame numbers on the command line and in lists: from 0, or as in the file names of an image folder",
    ),
    option(
        "--levels",
        metavar="auto|LOW,HIGH",
        help="values shown as black and white in all frames of an image folder or TIFF stack; auto: percentiles of the "
        "video (default: 8-bit images unchanged, others auto)",
    ),
    option(
        "--fps",
        "rate",
        metavar="N",
        help="frames per second of an image folder or TIFF stack, for overlays and other videos (default: 24)",
    ),
    flag("--realtime", "drop frames to keep up with the source"),
    option("--timeout", metavar="SECONDS", type=PositiveFloat, default=30, help="stop after SECONDS without a frame"),
)
@option_group(
    "many videos",
    option(
        "--jobs",
        "job_list",
        type=ExistingPath,
        help="list of videos (CSV or JSON lines), or a folder of videos with their masks next to them",
    ),
    option(
        "--shard",
        metavar="I/N",
        type=ParsedType(Shard.parse),
        help="track part I of N of the videos, counted from 0; auto: read I and N from the environment variables of "
        "Slurm or Kubernetes",
    ),
)
@tracker_options()
def main(
    video: tuple[str, ...], *,
    masks: tuple[str, ...], output: Path | None, write: tuple[str, ...], soft: bool, review: bool, force: bool,
    dry_run: bool,
    boxes: tuple[str, ...], points: tuple[str, ...], not_points: tuple[str, ...], segmenter: tuple[Path, Path] | None,
    classes: tuple[str, ...], both_directions: bool, remove: tuple[tuple[int, int], ...],
    start: int | None, end: int | None, frame_numbers: str, levels: str | None, rate: str | None,
    realtime: bool, timeout: float, job_list: Path | None, shard: Shard | None,
    checkpoint: Path, config: str | None, device: str, print_config: bool,
) -> int:  # fmt: skip
    from aotlab.engine.tracking.options import TrackerOptions

    videos, overrides = split_settings(video)
    tracker = TrackerOptions(checkpoint, config, overrides, device)
    if print_config:
        return print_settings(tracker.read_settings())
    if "help" in write:
        return print_outputs()
    require_videos(videos, job_list)
    if shard is not None and len(videos) == 1:
        raise UsageError("--shard: applies to runs of several videos; give --jobs")
    if shard is not None and dry_run:
        raise UsageError("--dry-run: checks all videos of a list; remove --shard")
    from aotlab.jobs.job import Job, RunOptions
    from aotlab.jobs.job_list import list_video_jobs, read_jobs

    outputs = dict.fromkeys((*(write or RunOptions.write), *["review"] * review))
    options = RunOptions(
        write=tuple(outputs), soft=soft, both_directions=both_directions, realtime=realtime, timeout=timeout,
        removals=remove, by_name=frame_numbers == "file",
    )  # fmt: skip
    if len(videos) == 1:
        folder = output or default_output(videos[0])
        job = Job(
            folder.name if is_file_name(folder.name) else "video", videos[0], masks,
            boxes=boxes, points=points, not_points=not_points, segmenter=segmenter, classes=classes,
            start=start, end=end, levels=levels, rate=rate,
        )  # fmt: skip
        require_modules("av", "cv2", "pycocotools", "tqdm")
        return track_video(job, folder, tracker, options, force=force, dry_run=dry_run)
    if realtime:
        raise UsageError("--realtime: applies to a single video; remove it")
    require_unset({
        "--mask": masks, "--box": boxes, "--point": points, "--not-point": not_points, "--class": classes,
        "--start": start, "--end": end, "--levels": levels, "--fps": rate,
    })  # fmt: skip
    jobs = read_jobs(job_list) if job_list else list_video_jobs(videos)
    jobs = [replace(job, segmenter=segmenter) for job in jobs]
    folder = output or (default_output(str(job_list)) if job_list else Path(f"videos{RESULTS_SUFFIX}"))
    name = job_list.name if job_list else "command line"
    return track_list(jobs, folder, tracker, options, shard, name=name, force=force, dry_run=dry_run)


if __name__ == "__main__":
    raise SystemExit(main())
