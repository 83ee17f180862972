"""Track objects in a video: ``aotlab track video.mp4 --box 100,60,50,40``."""

from __future__ import annotations

import logging
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import UsageError

from aotlab.media.location import locate_video
from aotlab.tools.cli.command import command, option_group, report_failures
from aotlab.tools.cli.options import force, prompt_options, quality, restart, tracker_options, video_argument
from aotlab.tools.cli.stdio import SIGNAL_EXIT_BASE
from aotlab.tools.cli.types import (
    ExistingPath,
    FileName,
    Folder,
    FunctionType,
    NonNegativeInt,
    PositiveFloat,
    flag,
    list_option,
    option,
)
from aotlab.utils.environment import count_ranks, read_rank_variable
from aotlab.utils.errors import InputError, require_extra
from aotlab.utils.files import is_file_name, require_existing, sibling_path
from aotlab.utils.numbers import format_bytes
from aotlab.utils.shards import Shard
from aotlab.utils.text import align_columns, format_count, join_truncated, strip_credentials
from aotlab.utils.value_syntax import FRAME_AND_OBJECT

if TYPE_CHECKING:
    from aotlab.engine.tracking.options import TrackerOptions
    from aotlab.media.job_record import JobRecord
    from aotlab.video.batch import Batch
    from aotlab.video.job import CheckedJob, Job
    from aotlab.video.plan import RerunOptions
    from aotlab.video.track import JobOptions, TrackResult

RESULTS_SUFFIX = ".tracked"
"""suffix of the default output folder"""
NON_VIDEO_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".json", ".xml")
"""suffixes of mask files, which are never videos"""
MAX_LISTED = 20
"""largest number of damaged frames, cuts and unfinished videos in a message"""
PLANNED_STATUSES = {
    "track": "to track",
    "resume": "to resume",
    "reuse": "done",
    "keep_corrections": "corrected",
}
"""status of a video in a dry run, by its `Action`"""
SINGLE_VIDEO_OPTIONS = {
    "masks": "--mask", "boxes": "--box", "points": "--point", "not_points": "--not-point", "classes": "--class",
    "start": "--start", "end": "--end",
}  # fmt: skip
"""options of a single video, by the parameter of `Job` that each sets"""


def parse_removal(text: str) -> tuple[int, int]:
    """Return (frame, object id) of "30:2"; raise `InputError` if these are not two whole numbers."""
    match = FRAME_AND_OBJECT.fullmatch(text)
    if match is None or not match["frame"] or not int(match["object_id"] or 0):
        raise InputError(f"{text[:40]}: expected FRAME:ID, for example 30:2")
    return int(match["frame"]), int(match["object_id"])


def require_videos(videos: Sequence[str], job_file: Path | None) -> None:
    """Raise an error unless there are either videos or a list, or if a file or folder does not exist."""
    if job_file and videos:
        raise UsageError(f"{strip_credentials(videos[0])}: give a VIDEO or --jobs, not both")
    if not (job_file or videos):
        raise UsageError("VIDEO: missing; give a video file, a folder of frames, a URL or a camera")
    for video in videos:
        location = locate_video(video)
        if location.kind == "stored":
            quoting = "put a path with spaces in quotes, and separate the values of an option by commas"
            require_existing(Path(location.text), quoting if len(videos) > 1 else "check the spelling")
        if len(videos) > 1 and Path(video).suffix.lower() in NON_VIDEO_SUFFIXES:
            raise UsageError(f"{video}: not a video; did you mean --mask {video}?")


def require_applicable(single: bool, modes: Sequence[str], inputs: Mapping[str, Any], realtime: bool) -> None:
    """Raise an error for options that exclude each other, or that do not apply to a single video or to a list.

    ``modes``: given ones of --shard, --summarize and --dry-run; ``inputs``: values of `SINGLE_VIDEO_OPTIONS`.
    """
    if len(modes) > 1:
        raise UsageError(f"{modes[0]}: cannot be combined with {modes[1]}; give only one")
    if single:
        if modes and modes != ["--dry-run"]:
            raise UsageError(f"{modes[0]}: applies to several videos; give --jobs")
        return
    for parameter, name in SINGLE_VIDEO_OPTIONS.items():
        if inputs[parameter] not in ((), None):
            # a shell splits 1, 2
            remedy = "use a column of --jobs, or separate values by commas without spaces"
            raise UsageError(f"{name}: applies to a single video; {remedy}")
    if realtime:
        raise UsageError("--realtime: applies to a single video; remove it")


def default_output(source: str) -> Path:
    """Return the default folder of a video or list: next to it, for a stream in the working directory."""
    location = locate_video(source)
    if location.kind == "stored" or (location.kind == "pipe" and not location.text.startswith("/dev/")):
        return sibling_path(Path(location.text), RESULTS_SUFFIX)
    return Path(re.sub(r"[^\w.-]+", "_", location.name) + RESULTS_SUFFIX)


def report_disk_space(output: Path, num_bytes: int) -> None:
    """Print how many bytes results take; raise `InputError` if the disk has fewer."""
    folder = output.absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if num_bytes > free:
        raise InputError(
            f"{output}: the results take about {format_bytes(num_bytes)}, but {format_bytes(free)} are free; free "
            "space, write fewer outputs, or choose another folder"
        )
    print(f"results: about {format_bytes(num_bytes)}; {format_bytes(free)} free")


def track_video(
    job: Job,
    folder: Path,
    options: JobOptions,
    tracker: TrackerOptions,
    rerun: RerunOptions,
    *,
    dry_run: bool,
) -> int:
    """Track a video into a folder, or resume it; return the exit code."""
    from aotlab.video.plan import FINISHED
    from aotlab.video.run import load_models, plan_run, track_job

    if count_ranks() > 1:
        name = strip_credentials(job.video)
        raise InputError(f"{name}: torchrun distributes several videos only; start one without torchrun")
    require_extra("video")
    checked, results = plan_run(job, folder, tracker, options, rerun)
    if results.finished:
        print(f"{folder}: {FINISHED}; --restart tracks it again")
        return 0
    header = f"{describe_job(checked)}, into {folder}"
    if dry_run:
        with results.lock():
            load_models(checked, tracker.load)
        print(header)
        report_disk_space(folder, checked.estimate_bytes())
        return 0
    quiet = not logging.getLogger("aotlab").isEnabledFor(logging.INFO)
    result = track_job(
        results, checked, tracker.load, on_start=lambda: None if quiet else print(header, flush=True)
    )
    return report_result(result, realtime=options.realtime)


def describe_job(checked: CheckedJob) -> str:
    """Return the video, with the numbers of frames and objects to track, and the rate of images."""
    from aotlab.media.frames import ImageFrames

    count = checked.frames.count
    frames = "frames until its end" if count is None else format_count(count, "frame")
    frames = f"about {frames}" if checked.frames.is_estimate and count else frames
    height, width = checked.source.size
    objects = f"{format_count(len(checked.objects), 'object')} to track"
    rate = ""
    if isinstance(checked.source, ImageFrames):
        rate = f", {float(checked.source.rate):.5g} frames per second"
        rate += "" if checked.job.rate else " (--fps changes it)"
    num_annotated = len({*checked.masks, *checked.prompts})
    if num_annotated > 1:
        objects += f", masks or prompts on {'all ' if num_annotated == count else ''}{num_annotated} frames"
    return f"{strip_credentials(checked.job.video)}: {frames} of {width}×{height}, {objects}{rate}"


def report_result(result: TrackResult, *, realtime: bool) -> int:
    """Print what was written and what went wrong; return the exit code."""
    if result.levels is not None:
        advice = " (found in the video; --levels LOW,HIGH changes them)" if result.levels.estimated else ""
        print(f"levels {result.levels}{advice}")
    results = " and ".join(map(str, result.written.values())) or "no complete output"
    drops = f", {result.dropped_frames} skipped" if realtime else ""
    frames = format_count(result.frames, "frame")
    speed = f" at {result.frames_per_second:.1f} frames per second"
    if result.restored_frames:
        finished = result.restored_frames == result.frames
        speed = ", finished already" if finished else f", {result.restored_frames} restored; the rest{speed}"
    print(f"{frames}{speed}{drops}: {results}")
    for summary in result.summaries:
        print(summary)
    if result.cuts:
        count = format_count(len(result.cuts), "cut")
        print(f"{count}, before frame {join_truncated(result.cuts, MAX_LISTED)}")
    if result.damaged_frames:
        count = format_count(len(result.damaged_frames), "damaged frame")
        numbers = join_truncated(result.damaged_frames, MAX_LISTED)
        print(f"warning: the decoder filled in {count}: {numbers}", file=sys.stderr)
    if result.corrupt_packets:
        count = format_count(result.corrupt_packets, "corrupt packet")
        print(f"warning: {count} of the stream left out", file=sys.stderr)
    if result.error is not None:
        print(f"error: {result.error}", file=sys.stderr)
        return 1
    if result.signal_number is not None:
        advice = "; the same command resumes" if result.resumable else ""
        print(f"interrupted: the results hold the first {frames}{advice}", file=sys.stderr)
        return SIGNAL_EXIT_BASE + result.signal_number
    return 0


def apply_to_images(jobs: Sequence[Job], levels: str | None, rate: str | None) -> list[Job]:
    """Return the jobs, those of images with levels and frame rate unless they have their own."""
    if (levels or rate) and not any(job.has_images for job in jobs):
        name = "--levels" if levels else "--fps"
        raise UsageError(f"{name}: none of the videos is a folder of images or a TIFF stack; remove it")
    return [
        replace(job, levels=job.levels or levels, rate=job.rate or rate) if job.has_images else job
        for job in jobs
    ]


def track_list(jobs: Sequence[Job], batch: Batch, folder: Path, shard: Shard | None) -> int:
    """Track a list of videos, or a shard of it; return the exit code."""
    from aotlab.utils.processes import stop_flag

    with stop_flag() as stop:
        records = batch.track(stop, shard)
    status = report_jobs(records, jobs, folder, shard)
    if stop.is_set():
        completed = {record.name for record in records}
        names = [] if shard else [job.name for job in jobs if job.name not in completed]
        remainder = f", not finished: {join_truncated(names, MAX_LISTED)}" if names else ""
        print(f"interrupted{remainder}; the same command resumes", file=sys.stderr)
        return SIGNAL_EXIT_BASE + stop.signal_number
    return status if count_ranks() == 1 else 0  # torchrun would stop the other processes


def preview_list(
    jobs: Sequence[Job], batch: Batch, folder: Path, row_errors: Mapping[int, InputError]
) -> int:
    """Print a row for each video with what a run would do, and every error; return 1 if there is an error, else 0.

    Args:
        row_errors: error of each wrong line of the list; the other lines are the jobs.
    """
    from aotlab.media.job_record import read_job_record

    rows = [("video", "status", "frames", "fps", "size", "objects")]
    rows += [(f"line {number}", "failed", "", "", "", "") for number in row_errors]
    for error in row_errors.values():
        print(f"error: {error}", file=sys.stderr)
    class_names: dict[str, Mapping[int, str]] = {}
    missing_classes, num_bytes = list[str](), 0
    for job, plan in zip(jobs, batch.preview(), strict=True):
        action, checked = ("failed", None) if isinstance(plan, InputError) else plan
        cells = ("", "", "", "")
        if isinstance(plan, InputError):
            print(f"error: {job.title}: {plan}", file=sys.stderr)
        elif checked is not None:
            num_bytes += checked.estimate_bytes()
            count, (height, width) = checked.frames.count, checked.source.size
            frames, rate = "unknown" if count is None else str(count), f"{float(checked.source.rate):.5g}"
            cells = (frames, rate, f"{width}×{height}", str(len(checked.objects)))
            class_names[job.name] = checked.class_names
            if without_class := len(checked.objects - checked.class_names.keys()):
                missing_classes.append(f"{format_count(without_class, 'object')} of {job.name}")
        elif (record := read_job_record(folder / job.name)) is not None:
            cells, class_names[job.name] = (str(record.frames), "", "", ""), record.class_names
        rows.append((job.name, PLANNED_STATUSES.get(action, action), *cells))
    print(*align_columns(rows, right=2), sep="\n")
    print_class_variants({name: names.values() for name, names in class_names.items()})
    if missing_classes and any(class_names.values()):
        print(f"without a class: {', '.join(missing_classes)}")
    counts = Counter(status for _, status, *_ in rows[1:])
    print(", ".join(f"{count} {status}" for status, count in counts.items()))
    if num_bytes:
        report_disk_space(folder, num_bytes)
    return 1 if counts["failed"] else 0


def print_class_variants(classes: Mapping[str, Iterable[str]]) -> None:
    """Warn of class names that differ only in letter case."""
    from aotlab.video.classes import find_class_variants

    for message in find_class_variants(classes):
        print(f"warning: {message}", file=sys.stderr)


def report_jobs(
    records: Sequence[JobRecord], jobs: Sequence[Job], output: Path, shard: Shard | None = None
) -> int:
    """Print how many videos were tracked, of all or of a shard, and errors; return 1 if one failed, else 0."""
    titles = {job.name: job.title for job in jobs}
    failures = {titles[record.name]: record.error for record in records if record.error is not None}
    count = format_count(len(records if shard else jobs), "video")
    results = f" in shard {shard}: {output}" if shard else f": {output / 'summary.csv'}"
    print(f"{len(records) - len(failures)} of {count} tracked{results}")
    print_class_variants({record.name: record.class_names.values() for record in records})
    return report_failures(failures)


@command(
    "aotlab track",
    epilog="FRAME and ID: [FRAME][:ID]= before a value names its frame and its object: 2=X,Y is for frame 2, :2=X,Y "
    "for object 2, 40:2=X,Y for both (default: the first frame, object 1). Options of a LIST are comma-separated; "
    "given again, they add to it.",
)
@video_argument(
    "[VIDEO]...",
    "video file, image folder, TIFF stack, rtsp:// or http:// URL, camera (0, or /dev/video0), or - for standard "
    "input; each of several videos becomes a job, whose mask file lies next to it",
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
        help="PNG with one object id per pixel (0: background); 2=FILE is for frame 2, :2=FILE for object 2 (default: "
        "the first frame, ids of the file); or annotations of several frames: COCO, a folder of masks, or a format of "
        "an installed package; may be repeated",
    ),
    option(
        "--output",
        type=Folder,
        help=f"folder for the results (default: NAME{RESULTS_SUFFIX} next to the video or list, for a stream or "
        "several videos in the working directory)",
    ),
    list_option("--write", "outputs, comma-separated, or help to list them all (default: masks,overlay)"),
    flag("--no-overlay", "leave the overlay out of --write"),
    flag("--review", "write review.json, and print which objects were lost and which frames to check"),
    force,
    restart,
)
@prompt_options()
@option_group(
    "tracking",
    option(
        "--class",
        "classes",
        metavar="[:ID=]NAME",
        multiple=True,
        help="class name of an object (of object 1 without ID), for annotation files; repeat it for each object",
    ),
    flag("--both-directions", "track forward and backward from every mask and prompt and merge both"),
    list_option("--remove", "stop tracking an object at this frame: FRAME:ID", parse_removal),
)
@option_group(
    "source",
    option(
        "--start",
        type=NonNegativeInt,
        help="first frame to track; in a list of jobs, the column start (default: the first of the video)",
    ),
    option(
        "--end",
        type=NonNegativeInt,
        help="last frame to track; in a list of jobs, the column end (default: the last of the video)",
    ),
    option(
        "--frame-numbers",
        type=click.Choice(("index", "file")),
        default="index",
        help="numbers of frames on the command line: counted from 0, or those in the file names of an image folder",
    ),
    option(
        "--levels",
        metavar="auto|LOW,HIGH",
        help="intensity range shown as black to white in all frames of an image folder or TIFF stack; auto: "
        "percentiles of the video (default: 8-bit images unchanged, others auto)",
    ),
    option(
        "--fps",
        "rate",
        metavar="N",
        help="frames per second of an image folder or TIFF stack, for overlays and other videos (default: 24)",
    ),
    flag("--realtime", "drop frames to keep up with the source"),
    option(
        "--timeout",
        metavar="SECONDS",
        type=PositiveFloat,
        default=30,
        help="stop after SECONDS without a frame",
    ),
)
@option_group(
    "many videos",
    option(
        "--jobs",
        "job_file",
        type=ExistingPath,
        help="CSV or JSON-lines file, or a folder of videos with their masks next to them; resumes; each process of "
        "torchrun tracks a shard",
    ),
    option(
        "--shard",
        metavar="I/N",
        type=FunctionType(Shard.parse),
        help="track part I (from 0) of N of the jobs, independently of other processes; auto: from the variables of "
        "Slurm, torchrun or Kubernetes",
    ),
    flag("--summarize", "write summary.csv and reviews of jobs tracked in shards, and exit"),
)
@tracker_options()
@quality
@flag("--dry-run", "check all inputs and write nothing")
def main(
    video: tuple[str, ...],
    *,
    tracker: TrackerOptions,
    segmenter: tuple[Path, Path] | None,
    segmenter_plugin: str | None,
    levels: str | None,
    rate: str | None,
    output: Path | None,
    write: tuple[str, ...],
    no_overlay: bool,
    review: bool,
    force: bool,
    restart: bool,
    both_directions: bool,
    remove: tuple[tuple[int, int], ...],
    frame_numbers: str,
    realtime: bool,
    timeout: float,
    job_file: Path | None,
    shard: Shard | None,
    summarize: bool,
    dry_run: bool,
    **inputs: Any,
) -> int:
    """Track objects in a video."""
    if "help" in write:
        from aotlab.video.outputs import find_output, list_outputs

        names = list_outputs()
        for name in names:
            print(f"{name:{max(map(len, names))}}  {find_output(name).description}")
        return 0
    require_videos(video, job_file)
    modes = {"--shard": shard, "--summarize": summarize, "--dry-run": dry_run}
    require_applicable(len(video) == 1, [name for name, value in modes.items() if value], inputs, realtime)

    from aotlab.video.batch import Batch
    from aotlab.video.job import Job
    from aotlab.video.job_file import InvalidRowsError, list_video_jobs, read_jobs
    from aotlab.video.plan import RerunOptions
    from aotlab.video.track import JobOptions

    outputs = dict.fromkeys((*(write or JobOptions.write), *["review"] * review))
    options = JobOptions(
        write=tuple(name for name in outputs if name != "overlay" or not no_overlay),
        both_directions=both_directions, realtime=realtime, timeout=timeout, removals=remove,
        by_name=frame_numbers == "file",
    )  # fmt: skip
    segmenter_choice = segmenter_plugin or segmenter
    if len(video) == 1:
        folder = output or default_output(video[0])
        name = folder.name if is_file_name(folder.name) else "video"
        job = Job(name, video[0], levels=levels, rate=rate, segmenter=segmenter_choice, **inputs)
        return track_video(job, folder, options, tracker, RerunOptions(force, restart), dry_run=dry_run)
    row_errors: Mapping[int, InputError] = {}
    try:
        jobs = read_jobs(job_file) if job_file else list_video_jobs(video)
    except InvalidRowsError as error:
        if not dry_run:
            raise
        jobs, row_errors = error.jobs, error.errors
    jobs = [replace(job, segmenter=segmenter_choice) for job in apply_to_images(jobs, levels, rate)]
    if count_ranks() > 1 and not (dry_run or summarize):
        shard = shard or Shard(read_rank_variable("RANK"), count_ranks())
        if tracker.device == "cuda":
            tracker = replace(tracker, device=f"cuda:{read_rank_variable('LOCAL_RANK')}")
    folder = output or (default_output(str(job_file)) if job_file else Path(f"videos{RESULTS_SUFFIX}"))
    batch = Batch(jobs, folder, tracker, options, force=force, restart=restart)
    if dry_run:
        return preview_list(jobs, batch, folder, row_errors)
    if summarize:
        records = batch.summarize()
        return max(report_jobs(records, jobs, folder), int(len(records) < len(jobs)))
    return track_list(jobs, batch, folder, shard)


if __name__ == "__main__":
    sys.exit(main())
