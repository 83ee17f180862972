"""Track objects in a video: ``aotlab track video.mp4 --box 100,60,50,40``."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click import UsageError

from aotlab.media.location import locate_video
from aotlab.media.matching import VIDEO_SUFFIXES
from aotlab.media.value_syntax import (
    FRAME_AND_OBJECT,
    INPUT_TRANSFORMS,
    MATRICES,
    MaskFormat,
    parse_input_transform,
    parse_removal,
)
from aotlab.runs.output_options import NO_OPTIONS
from aotlab.runs.shards import Shard
from aotlab.tools.cli.command import SIGNAL_EXIT_BASE, command, find_given_option, option_group
from aotlab.tools.cli.options import (
    PromptOptions,
    force_results,
    frame_numbers_option,
    mask_format,
    mask_start_number,
    output_options,
    parse_output_name,
    prompt_options,
    segmenter_option,
    separate_settings,
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
    Frame,
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
    from aotlab.runs.job import Job, RunOptions

RESULTS_SUFFIX = ".tracked"
"""Suffix of the default output folder."""
NON_VIDEO_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".json", ".xml")
"""Suffixes of mask files, which are never videos."""
FILE_PATTERN = re.compile(r"[*?#]|%\d*d")
"""Wildcard or frame number in the name of files, as other programs read them."""
ONE_VIDEO = "one video (a list has columns instead)"
"""Title of the options that only one video may have."""


@dataclass(frozen=True)
class VideoOptions(PromptOptions):
    """Options of one video, by the fields of `Job`. A list may have the segmenter only."""

    masks: tuple[str, ...]
    classes: tuple[str, ...]
    start: int | str | None
    end: int | str | None
    levels: str | None
    input_transform: str | None
    matrix: str | None
    layer: str | None
    interlaced: str
    rate: str | None
    removals: tuple[tuple[int | str, int], ...]

    def __post_init__(self) -> None:
        for mask in self.masks:
            head, _, file = mask.rpartition(":")
            if head and "=" not in mask and FRAME_AND_OBJECT.fullmatch(head) and not os.path.lexists(mask):
                raise InputError("no such file", subject=f"--mask {mask}", remedy=f"did you mean {head}={file}?")


@dataclass(frozen=True)
class ResultOptions:
    """Folder of the results."""

    output: Path | None
    force: bool
    verify_inputs: bool
    dry_run: bool

    def __post_init__(self) -> None:
        output = self.output
        if output is not None and output.suffix.lower() in VIDEO_SUFFIXES and not output.is_dir():
            raise InputError(
                "not a folder",
                subject=f"--output {output}",
                remedy="give a folder, and --write overlay for a video in it",
            )


@dataclass(frozen=True)
class VideoArguments:
    """Videos or a list of videos to track."""

    video: tuple[str, ...]
    job_list: Path | None
    shard: Shard | None

    def __post_init__(self) -> None:
        require_videos(self.video, self.job_list)
        if self.shard is not None and self.is_single:
            raise UsageError("--shard: applies to runs of several videos; give --jobs")

    @property
    def is_single(self) -> bool:
        """Whether there is one video and no list."""
        return len(self.video) == 1

    @property
    def default_output(self) -> Path:
        """Default folder of the results."""
        if self.job_list is None and not self.is_single:
            return Path(f"videos{RESULTS_SUFFIX}")
        return default_output(str(self.job_list or self.video[0]))

    def make_jobs(self, folder: Path, options: VideoOptions) -> list[Job]:
        """Return the jobs of the videos; raise an error for an option of one video if there are several."""
        from aotlab.runs.job import Job
        from aotlab.runs.job_list import list_video_jobs, read_jobs

        if self.is_single:
            name = folder.name if is_file_name(folder.name) else "video"
            jobs = [Job(name, self.video[0], **vars(options))]
        elif (given := find_given_option(ONE_VIDEO)) is not None:
            # the shell splits "1, 2" into two arguments
            remedy = "use a column of --jobs, or separate values by commas without spaces"
            if self.job_list is not None and self.job_list.is_dir():
                remedy = "remove it, or give --jobs a list instead of a folder"
            raise UsageError(f"{given}: applies to a single video; {remedy}")
        else:
            jobs = read_jobs(self.job_list) if self.job_list else list_video_jobs(self.video)
            jobs = [replace(job, segmenter=options.segmenter) for job in jobs]
        if options.segmenter and not any(job.boxes or job.points or job.negative_points for job in jobs):
            raise UsageError("--segmenter: no prompt to make a mask from; give --box or --point, or remove it")
        return jobs


def make_run_options(
    write: tuple[str, ...], soft: bool, review: bool, both_directions: bool,
    frame_numbers: str, mask_start_number: int | None, mask_format: MaskFormat | None, realtime: bool, timeout: float,
    output_options: Mapping[str, Any] = NO_OPTIONS,
) -> RunOptions:  # fmt: skip
    """Return options of tracking; raise `InputError` as `RunOptions` does."""
    from aotlab.runs.job import RunOptions

    outputs = dict.fromkeys((*(write or RunOptions.write), *["review"] * review))
    return RunOptions(
        write=tuple(outputs), soft=soft, both_directions=both_directions, realtime=realtime, timeout=timeout,
        by_name=frame_numbers == "file", mask_start_number=mask_start_number, mask_format=mask_format,
        output_options=output_options,
    )  # fmt: skip


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


def track_video(job: Job, tracker: TrackerOptions, options: RunOptions, folder: Path, results: ResultOptions) -> int:
    """Track a video into a folder, or resume it; return the exit code."""
    from aotlab.engine.tracking.options import TrackerLoader
    from aotlab.runs.prepare import prepare
    from aotlab.runs.run import find_action, run

    prepared = prepare(job, folder, TrackerLoader(tracker), options, verify_inputs=results.verify_inputs)
    action = find_action(prepared, force=results.force)
    if results.dry_run or (action != "reuse" and logging.getLogger("aotlab").isEnabledFor(logging.INFO)):
        print(f"{describe_run(prepared)}, into {folder}", flush=True)
    if results.dry_run:
        print(f"status: {STATUSES[action]}")
        if action != "reuse":
            report_disk_space(folder, prepared.estimate_bytes())
        return 0
    return report_result(run(prepared, force=results.force), folder, realtime=options.realtime)


def track_list(
    jobs: Sequence[Job],
    tracker: TrackerOptions,
    options: RunOptions,
    folder: Path,
    results: ResultOptions,
    shard: Shard | None,
) -> int:
    """Track a list of videos or a shard of it; return the exit code."""
    from aotlab.runs.lists import Batch
    from aotlab.utils.signals import stop_flag

    batch = Batch(jobs, folder, tracker, options, force=results.force, verify_inputs=results.verify_inputs)
    if results.dry_run:
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
    "  aotlab track video.mp4 --box 150,2,310,410 --negative-point 170,230\n"
    "  aotlab track video.mp4 --mask first.png --mask 58=corrected.png\n"
    "  aotlab track --jobs videos --output results --write masks,coco",
)
@video_argument(
    "[VIDEO]...",
    "video file, image folder, TIFF stack, rtsp:// or http:// URL, camera (0, or /dev/video0), or - for standard "
    "input; several videos are tracked as with --jobs",
    type=FileName(str),
    callback=separate_settings,
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
    option(
        "--levels",
        metavar="auto|LOW,HIGH",
        help="values shown as black and white in all frames of an image folder or TIFF stack; auto: percentiles of the "
        "video (default: 8-bit images unchanged, others auto)",
    ),
    option(
        "--input-transform",
        type=ParsedType(parse_input_transform, "NAME"),
        help="curve of the values of an image folder or TIFF stack, for the tracker only: "
        f"{', '.join(INPUT_TRANSFORMS)}, or ocio:SPACE of OpenColorIO (default: linear for EXR, srgb for others)",
    ),
    option(
        "--matrix",
        type=Choice([*MATRICES]),
        help="color matrix of a video file that states none (default: bt709 above standard definition, else bt601)",
    ),
    option(
        "--layer",
        metavar="NAME",
        help="layer of EXR images, such as ViewLayer.Combined (default: the one without a name, or the only one)",
    ),
    option(
        "--interlaced",
        type=Choice(("yes", "no")),
        default="no",
        help="track the frames of an interlaced file as they are, with two moments in alternate lines",
    ),
    option(
        "--fps",
        "rate",
        metavar="N",
        help="frames per second of an image folder or TIFF stack, for overlays and other videos (default: 24)",
    ),
    name="one_video",
    factory=VideoOptions,
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
    flag("--soft", "store the probabilities at edges, so that outputs with alpha can be written later"),
    flag("--review", "write review.json, and print which objects were lost and which frames to check"),
    force_results,
    flag("--verify-inputs", "read all inputs, also those with the size and time that earlier results have recorded"),
    flag("--dry-run", "check all inputs and write nothing"),
    name="results",
    factory=ResultOptions,
)
@output_options()
@option_group(
    "tracking",
    flag("--both-directions", "track forward and backward from every mask and prompt and merge both"),
    frame_numbers_option,
    mask_start_number,
    mask_format,
    flag("--realtime", "drop frames to keep up with the source"),
    option("--timeout", metavar="SECONDS", type=PositiveFloat, default=30, help="stop after SECONDS without a frame"),
    name="options",
    factory=make_run_options,
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
    name="videos",
    factory=VideoArguments,
)
@tracker_options(segmenter_option())
def main(
    videos: VideoArguments,
    one_video: VideoOptions,
    options: RunOptions,
    results: ResultOptions,
    tracker: TrackerOptions,
) -> int:
    if videos.shard is not None and results.dry_run:
        raise UsageError("--dry-run: checks all videos of a list; remove --shard")
    if options.realtime and not videos.is_single:
        raise UsageError("--realtime: applies to a single video; remove it")
    folder = results.output or videos.default_output
    jobs = videos.make_jobs(folder, one_video)
    if videos.is_single:
        require_modules("av", "cv2", "pycocotools", "tqdm")
        return track_video(jobs[0], tracker, options, folder, results)
    return track_list(jobs, tracker, options, folder, results, videos.shard)


if __name__ == "__main__":
    raise SystemExit(main())
