"""Messages of the track command: about a video, its results, and a list of videos."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.tools.cli.command import SIGNAL_EXIT_BASE, report_failures
from aotlab.utils.text import align_columns, format_count, join_truncated, strip_credentials

if TYPE_CHECKING:
    from aotlab.utils.shards import Shard
    from aotlab_video.runs.lists import Outcome
    from aotlab_video.runs.prepare import PreparedRun
    from aotlab_video.runs.run import TrackResult

STATUSES = {"track": "to track", "resume": "to resume", "reuse": "done"}
"""Status of a video in a dry run, by the action of its run."""


def describe_run(run: PreparedRun) -> str:
    """Return the video, with the numbers of frames and objects to track, and the rate of images."""
    from aotlab_video.sources.frames import ImageFrames
    from aotlab_video.sources.plates import BT709
    from aotlab_video.sources.video import VideoFrames

    count = run.frames.count
    frames = "frames until its end" if count is None else format_count(count, "frame")
    height, width = run.source.size
    objects = f"{format_count(len(run.objects), 'object')} to track"
    rate = ""
    if isinstance(run.source, ImageFrames):
        rate = f", {float(run.source.rate):.5g} frames per second"
        rate += "" if run.job.source.fps else " (--source fps=N changes it)"
    if isinstance(run.source, VideoFrames) and run.source.lacks_matrix and run.job.source.matrix is None:
        rate = f", colors of BT.{709 if run.source.matrix == BT709 else 601} (--source matrix=NAME changes them)"
    num_annotated = len(run.annotated_frames)
    if num_annotated > 1:
        objects += f", masks or prompts on {'all ' if num_annotated == count else ''}{num_annotated} frames"
    return f"{strip_credentials(run.job.video)}: {frames} of {width}×{height}, {objects}{rate}"


def report_result(result: TrackResult, folder: Path, *, realtime: bool) -> int:
    """Print what was written into a folder and what went wrong; return the exit code."""
    if result.reused:
        names = ", ".join(result.rendered)
        written = f"{names} written from its results" if names else "delete it to track it again"
        print(f"{folder}: already tracked with these inputs; {written}")
        for summary in result.summaries:
            print(summary)
        return 0
    if result.levels is not None:
        note = " (found in the video; --source levels=LOW,HIGH changes them)" if result.levels.estimated else ""
        print(f"levels {result.levels}{note}")
    results = " and ".join(map(str, result.written.values())) or "no complete output"
    drops = f", {result.dropped_frames} skipped" if realtime else ""
    frames = format_count(result.frames, "frame")
    speed = f" at {result.speed}"
    if result.restored_frames:
        finished = result.restored_frames == result.frames
        speed = ", finished already" if finished else f", {result.restored_frames} restored; the rest{speed}"
    print(f"{frames}{speed}{drops}: {results}")
    for summary in result.summaries:
        print(summary)
    if result.cuts:
        count, frames = format_count(len(result.cuts), "cut"), "frame" if len(result.cuts) == 1 else "frames"
        remedy = f"remove objects there with --remove {result.cuts[0]}:ID, or start there with --start {result.cuts[0]}"
        if result.ended_ids:
            objects = f"object{'s' * (len(result.ended_ids) > 1)} {join_truncated(result.ended_ids)}"
            remedy = f"{objects} not found again there; give --mask {result.cuts[0]}=FILE, or rules.after_cut=continue"
        print(f"{count}, before {frames} {join_truncated(result.cuts)}; {remedy}")
    if result.damaged_frames:
        count = format_count(len(result.damaged_frames), "damaged frame")
        numbers = join_truncated(result.damaged_frames)
        print(f"warning: the decoder concealed {count}: {numbers}", file=sys.stderr)
    if result.corrupt_packets:
        count = format_count(result.corrupt_packets, "corrupt packet")
        print(f"warning: {count} of the stream left out", file=sys.stderr)
    if result.error is not None:
        print(f"error: {result.error}", file=sys.stderr)
        return 1
    if result.signal_number is not None:
        remedy = "; the same command resumes" if result.resumable else ""
        print(f"interrupted: the results hold the first {frames}{remedy}", file=sys.stderr)
        return SIGNAL_EXIT_BASE + result.signal_number
    return 0


def report_plans(plans: Iterable[Outcome]) -> int:
    """Print a row for each video with what a run would do, and every error; return 1 if there is an error, else 0."""
    rows = [("video", "status", "frames", "fps", "size", "objects")]
    for plan in plans:
        frames, rate, size, objects = str(plan.frames or ""), "", "", ""
        if plan.error:
            print(f"error: {plan.job.label}: {plan.error}", file=sys.stderr)
        if (run := plan.prepared) is not None:
            height, width = run.source.size
            frames = "unknown" if run.frames.count is None else str(run.frames.count)
            rate, size, objects = f"{float(run.source.rate):.5g}", f"{width}×{height}", str(len(run.objects))
        rows.append((plan.job.name, STATUSES.get(plan.status, plan.status), frames, rate, size, objects))
    print(*align_columns(rows, right=2), sep="\n")
    counts = Counter(status for _, status, *_ in rows[1:])
    print(", ".join(f"{count} {status}" for status, count in counts.items()))
    return 1 if counts["failed"] else 0


def report_jobs(outcomes: Sequence[Outcome], output: Path, shard: Shard | None = None, summary_error: str = "") -> int:
    """Print how many videos are done, of all or of a shard, and errors; return 1 if there is an error, else 0."""
    from aotlab_video.runs.lists import SUMMARY_FILE

    statuses = Counter(outcome.status for outcome in outcomes)
    num_done, num_kept, counts = statuses["done"] + statuses["corrected"], statuses["kept"], []
    if num_done or not num_kept:
        counts.append(f"{num_done} of {format_count(len(outcomes), 'video')} done")
    if num_kept:
        counts.append(f"earlier results of {format_count(num_kept, 'video')} kept")
    print(f"{', '.join(counts)}{f' in shard {shard}' if shard else ''}: {output}")
    failures = {outcome.job.label: outcome.error for outcome in outcomes if outcome.error}
    if summary_error:
        failures[SUMMARY_FILE] = summary_error
    return report_failures(failures)
