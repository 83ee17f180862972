"""Runs: one video from its job to its results, also from arrays and a loaded tracker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from aotlab import TrackerOptions
from aotlab.media.prompt import Prompt
from aotlab.sdk import build
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import is_file_name
from aotlab.utils.locks import locked_output
from aotlab.utils.signals import StopFlag, stop_flag
from aotlab_video.runs.job import ClassNames, Job, RunOptions
from aotlab_video.runs.lazy_tracker import LazyTracker
from aotlab_video.runs.loop import track_frames
from aotlab_video.runs.prepare import PreparedRun, prepare
from aotlab_video.runs.result import TrackResult
from aotlab_video.runs.store import STATE_FILE, Results
from aotlab_video.runs.views import list_missing_outputs, list_written, make_context, require_soft, write_outputs
from aotlab_video.sources.frames import FrameSource
from aotlab_video.sources.video import open_frames

if TYPE_CHECKING:
    from aotlab import VideoTracker

Action = Literal["track", "resume", "reuse"]
"""Action of a run on its folder."""


def run_job(
    job: Job,
    folder: str | Path,
    tracker: TrackerOptions | VideoTracker | None = None,
    options: RunOptions | None = None,
    *,
    force: bool = False,
) -> TrackResult:
    """Track one video into a folder, or resume it; finished results of the same inputs are reused.

    Inputs are checked before the model is loaded, and earlier results deleted only once the first frame is segmented.
    A run that ends early does not raise: check `TrackResult.error` and `TrackResult.interrupted`. A stopped run
    resumes if its inputs are the same and `TrackResult.resumable`; any other starts over. With a loaded tracker, whose
    hooks and weights cannot be compared, a run needs a new folder or ``force``.

    Args:
        job: the video and its masks.
        folder: output folder, created if missing.
        tracker: the model, or a tracker with the model loaded, for several jobs; None: the bundled one.
        options: outputs and how to track.
        force: replace results of a different run.

    Raises:
        InputError: a bad video, mask or option; the folder is not writable, in use, or has results of another run.
    """
    tracker = tracker or TrackerOptions()
    if not isinstance(tracker, TrackerOptions):
        if job.overrides:
            raise InputError(
                "need TrackerOptions in place of a loaded tracker", subject=f"overrides {' '.join(job.overrides)}"
            )
        tracker = tracker.fresh()
    return run(prepare(job, Path(folder), LazyTracker(tracker), _require_options(options)), force=force)


def track(
    source: FrameSource | str | Path,
    masks: Mapping[int, np.ndarray] | None,
    folder: str | Path,
    tracker: VideoTracker,
    options: RunOptions | None = None,
    *,
    prompts: Mapping[int, Mapping[int, Prompt]] | None = None,
    start: int | str | None = None,
    end: int | str | None = None,
    classes: ClassNames = (),
    removals: Iterable[str | tuple[int | str, int]] = (),
    force: bool = False,
) -> TrackResult:
    """Track a video from masks or prompts in memory into a new folder; all else is as in `run_job`.

    Args:
        source: the video; a path or address is opened as `open_frames` does.
        masks: masks by frame index, of frames to track: H×W object ids, or floats as in `Tracker.step`, which stay the
            soft edges of their frames; later masks may add objects. None: only prompts.
        folder: output folder, created if missing.
        tracker: a `VideoTracker`, which forgets earlier videos first.
        options: outputs and how to track; None: the defaults.
        prompts: prompts by frame index and object id; on a frame with a mask, as in `Tracker.step`.
        start: first frame to track, as in `Job`.
        end: last frame to track, as in `Job`.
        classes: class names by object id, for outputs that store them.
        removals: as in `Job`.
        force: replace earlier results, which cannot be compared with a run of arrays and a loaded tracker.

    Raises:
        InputError: as `run_job`; or there are neither masks nor prompts, or the first frame failed.
        Exception: an internal error, raised after outputs are completed.
    """
    options, folder = _require_options(options), Path(folder)
    frames = source if isinstance(source, FrameSource) else open_frames(source)
    values = {
        "name": folder.name if is_file_name(folder.name) else "video", "video": frames.path or "-", "frames": frames,
        "arrays": {} if masks is None else masks, "prompts": {} if prompts is None else prompts,
        "start": start, "end": end, "classes": classes, "removals": removals,
    }  # fmt: skip
    job = build(Job, values)
    require(job.has_objects, "none", subject="masks", remedy="pass {0: mask}")
    return run(prepare(job, folder, LazyTracker(tracker), options), force=force)


def plan_action(prepared: PreparedRun, *, force: bool = False) -> Action:
    """Return what a run would do with its folder, after all its checks; the model is loaded unless results are reused.

    Raises:
        InputError: as `run`.
    """
    with locked_output(prepared.folder):
        results = prepared.new_results().open(force=force)
        if results.status == "done":
            options = prepared.options
            outputs = options.make_outputs()
            missing = list_missing_outputs(results, outputs, options.output_options)
            require_soft(results, {name: outputs[name] for name in missing})
            return "reuse"
        prepared.loader.load(prepared.job.overrides)
        return "resume" if results.entries and (prepared.folder / STATE_FILE).is_file() else "track"


def run(
    prepared: PreparedRun, *, force: bool = False, class_file: Path | None = None, stop: StopFlag | None = None
) -> TrackResult:
    """Track the video of a run, resume it, or return its finished results with outputs that are still missing.

    Args:
        force: replace results of a different run.
        class_file: class ids of a list of videos, see `merge_class_ids`.
        stop: flag that stops a list; None: a new one, which Ctrl-C, SIGTERM and SIGHUP set.

    Raises:
        InputError: as `run_job`.
    """
    with locked_output(prepared.folder):
        new = prepared.new_results()
        results = new.open(force=force)
        moved = (results.video, results.masks, results.digests) != (new.video, new.masks, new.digests)
        results.video, results.masks, results.digests = new.video, new.masks, new.digests
        if results.status == "done":
            if moved:
                results.save()
            result = TrackResult(len(results.entries), results.seconds, reused=True)
            return _write_outputs(prepared, results, result, ())
        results.status, results.error = "unfinished", None
        with nullcontext(stop) if stop else stop_flag() as flag:
            may_restart = force or stop is not None
            result = track_frames(prepared, results, class_file, flag, may_restart=may_restart)
            if result.frames and results.is_present:  # after a signal too; a second one ends the program
                result = _write_outputs(prepared, results, result, prepared.streamed)
        return result


def _require_options(options: RunOptions | None) -> RunOptions:
    """Return the options, by default those of `RunOptions`; raise `InputError` for another type."""
    options = RunOptions() if options is None else options
    problem = f"expected RunOptions, got {type(options).__name__}"
    require(isinstance(options, RunOptions), problem, subject="options", remedy="pass RunOptions(...)")
    return options


def _write_outputs(
    prepared: PreparedRun, results: Results, result: TrackResult, streamed: Sequence[str]
) -> TrackResult:
    """Write the outputs that results lack; return the result of the run with them.

    ``streamed``: outputs that were written while tracking.
    """
    options, error, texts = prepared.options, None, list[str]()
    outputs = options.make_outputs()
    missing = list_missing_outputs(results, [name for name in outputs if name not in streamed], options.output_options)
    context = make_context(results, prepared.source, prepared.frames.number)
    try:
        texts = write_outputs(results, missing, options.output_options, context, progress=options.progress)
    except InputError as caught:
        if result.reused:
            raise
        error = caught
    incomplete = [outputs[name].file_name for name in {*missing, *streamed} - {*results.outputs}]
    problem = result.error or (None if error is None else str(error))
    if problem is not None and incomplete:
        problem = f"{problem} (not completed: {', '.join(sorted(incomplete))})"
    return replace(
        result, error=problem, written=list_written(results, options), summaries=(*result.summaries, *texts),
        rendered=tuple(name for name in missing if name in results.outputs),
    )  # fmt: skip
