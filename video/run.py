"""Tracking of a video into a folder of results, which are recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aotlab.engine.prompting.load import load_segmenter
from aotlab.engine.prompting.segmenter import PromptSegmenter, require_pixels
from aotlab.engine.tracking.options import TrackerOptions
from aotlab.media.frames import FrameSource
from aotlab.media.job_record import PROMPT_MASKS, UNFINISHED, JobRecord, write_job_record
from aotlab.media.video import open_frames
from aotlab.utils.errors import InputError, already_contains, require
from aotlab.utils.files import prefix_errors, remove
from aotlab.utils.locks import InUseError, locked_output
from aotlab.utils.processes import StopFlag
from aotlab.utils.streaming import HELPER_THREADS
from aotlab.utils.text import shorten
from aotlab.video.classes import ObjectClasses
from aotlab.video.digest import result_settings
from aotlab.video.inputs import FrameSelection
from aotlab.video.job import Job
from aotlab.video.outputs import BUILT_IN_OUTPUTS, OutputContext
from aotlab.video.plan import JobRun, describe_frames, plan_job
from aotlab.video.results import STATE_FILE, Replacement, choose_action, is_complete, restore_earlier
from aotlab.video.track import JobOptions, TrackResult, group_removals, track_frames

if TYPE_CHECKING:
    from aotlab.engine.tracking.tracker import Tracker
    from aotlab.video.directions import TimedTracker

    LoadTracker = Callable[[tuple[str, ...]], Tracker]


def run_job(
    job: Job,
    folder: str | Path,
    tracker: TrackerOptions | Tracker | None = None,
    options: JobOptions | None = None,
    *,
    force: bool = False,
) -> TrackResult:
    """Track one video into a folder, or resume it; finished results of the same inputs are reused.

    Inputs are checked before the model is loaded, and results are replaced only once the first frame is written. A run
    that ends early does not raise: check `TrackResult.error` and `TrackResult.interrupted`. A stopped run resumes if
    its inputs are the same and `TrackResult.resumable`; any other starts over.

    Args:
        job: the video and its masks.
        folder: output folder, created if missing.
        tracker: the model, or a tracker with the model loaded, for several jobs; None: the bundled one.
        options: outputs and how to track.
        force: replace results of other inputs.

    Raises:
        InputError: a bad video, mask or option; the folder is not writable, in use, or holds results of other inputs.
    """
    require(
        isinstance(job, Job),
        f"job: expected a Job, got {shorten(repr(job), 80)}; pass Job(name, video, masks)",
    )
    tracker, options = tracker or TrackerOptions(), options or JobOptions()
    load = tracker.load if isinstance(tracker, TrackerOptions) else partial(_reuse_model, tracker)
    return track_job(
        plan_job(job, Path(folder), options, partial(result_settings, tracker, options), force=force), load
    )


def _reuse_model(tracker: Tracker, overrides: tuple[str, ...]) -> Tracker:
    """Return a fresh tracker of a loaded model; raise `InputError` for overrides, which need another."""
    if overrides:
        raise InputError(f"overrides {' '.join(overrides)}: need TrackerOptions in place of a loaded tracker")
    return tracker.fresh()


def track(
    tracker: Tracker,
    source: FrameSource | str | Path,
    masks: Mapping[int, np.ndarray],
    output: str | Path,
    options: JobOptions | None = None,
    *,
    frames: FrameSelection | None = None,
    classes: ObjectClasses | Mapping[int, str] | None = None,
) -> TrackResult:
    """Track a video and write outputs while the next frames are read.

    A bad frame, stall, full disk or Ctrl-C leaves valid outputs; the result holds the reason.

    Args:
        tracker: a `Tracker`, which forgets earlier videos first.
        source: the video; a path or address is opened as `open_frames` does.
        masks: H×W object ids by frame index, of frames to track; later masks may add objects.
        output: folder, created if missing; outputs of an earlier `track` are replaced, results of `run_job` are not.
        options: outputs and how to track; None: the defaults.
        frames: frames to track; None: all.
        classes: classes and attributes of the objects, or class names by object id, for outputs that store them.

    Raises:
        InputError: no masks, the output folder is not writable, in use, or holds results of `run_job` or corrected
            masks, a removal is of no object, or the first frame failed.
        Exception: an internal error, raised after outputs are completed.
    """
    from aotlab.engine.tracking.inputs import convert_mask  # loads PyTorch
    from aotlab.video.directions import TimedTracker

    options, folder = options or JobOptions(), Path(output)
    if isinstance(source, str | Path):
        source = open_frames(source, timeout=options.timeout)
    is_source = isinstance(source, FrameSource)
    require(
        is_source, f"source: expected frames or a path, got {shorten(repr(source))}; pass open_frames(...)"
    )
    is_mapping = (
        isinstance(masks, Mapping) and len(masks) > 0 and all(isinstance(index, Integral) for index in masks)
    )
    require(is_mapping, "masks: expected masks by frame index, with at least one; pass {0: mask}")
    frames = frames or FrameSelection(source, by_name=options.by_name)
    for index, mask in masks.items():
        frames.require(index, f"mask of frame {index}")
        with prefix_errors(f"frame {index}"):
            convert_mask(mask, source.size, required=index == min(masks))
    ids = {index: np.unique(mask).tolist() for index, mask in masks.items()}
    removals = group_removals(options.removals, ids, frames)
    classes = classes if isinstance(classes, ObjectClasses) else ObjectClasses(dict(classes or {}))
    has_names = all(isinstance(name, str) for name in classes.class_names.values())
    require(has_names, f"classes: expected class names by object id, got {shorten(classes.class_names, 80)}")
    context = OutputContext(source, classes, frames.number)
    record = JobRecord(
        folder.name, error=UNFINISHED, outputs=options.file_names, class_names=dict(classes.class_names),
        **describe_frames(source, frames),
    )  # fmt: skip
    with locked_output(folder):
        restore_earlier(folder)
        _, earlier = choose_action(folder, record, force=True)
        if earlier.input_digests:
            raise already_contains(folder, "results of run_job")
        with Replacement(folder, record, earlier) as replacement:
            tracker.reset(frames.count)
            result = track_frames(
                TimedTracker(tracker), context, frames, masks, removals, folder, options, replacement
            )
        _record_result(folder, record, result, earlier)
    return result


def track_job(
    run: JobRun,
    load_tracker: LoadTracker,
    *,
    class_file: Path | None = None,
    on_start: Callable[[], None] = lambda: None,
    stop: StopFlag | None = None,
) -> TrackResult:
    """Track the video of a job, or resume it, as planned; the folder is locked.

    Args:
        run: the job, of `plan_job`.
        load_tracker: returns a tracker with the job's overrides, for example a cached one.
        class_file: file with the class ids of a list of jobs, to which this job's classes are added.
        on_start: called after all checks, before the first frame.
        stop: flag that stops a list; None: one that Ctrl-C, SIGTERM and SIGHUP set.
    """
    from aotlab.video.resume import ResumingTracker  # loads PyTorch

    folder, options, record, source = run.folder, run.options, run.record, run.source
    if run.action == "reuse":
        files = {name: output.file_name for name, output in options.outputs.items()}
        written = {name: folder / file for name, file in files.items() if file in record.written}
        return TrackResult(record.frames, record.seconds, written, reused=True)
    with locked_output(folder):
        restore_earlier(folder)
        tracker, segmenter, earlier, resumed = _prepare_tracker(run, load_tracker)
        on_start()
        prompt_files = {}
        if segmenter is not None:
            for index, prompts in run.prompts.items():
                labels = segmenter(source.read(index), prompts)
                require_pixels(labels, prompts)
                run.masks.add(index, labels)
                prompt_files[folder / PROMPT_MASKS / f"{source.stem(index)}.png"] = labels
        classes = ObjectClasses.from_annotations(run.masks.annotations, class_file)
        context = OutputContext(source, classes, run.frames.number)
        with Replacement(folder, record, earlier, prompt_files, resumed=resumed) as replacement:
            result = track_frames(
                tracker, context, run.frames, run.masks, run.removals, folder, options, replacement, stop=stop
            )
        if isinstance(tracker, ResumingTracker):
            if result.interrupted or result.error:
                tracker.save_stopped(result.frames)
            result = replace(result, restored_frames=tracker.num_restored, resumable=True)
        _record_result(folder, record, result, earlier)
    return result


def check_run(run: JobRun, load_tracker: LoadTracker) -> None:
    """Raise what `track_job` would raise before the first frame; write nothing."""
    if run.action != "reuse":
        with locked_output(run.folder):
            _prepare_tracker(run, load_tracker)


def _prepare_tracker(
    run: JobRun, load_tracker: LoadTracker
) -> tuple[TimedTracker, PromptSegmenter | None, JobRecord, bool]:
    """Return the tracker, the segmenter of prompts, the record of earlier results, and whether these are resumed.

    Raises:
        InputError: since the plan, another process has written to the locked folder; a model cannot be loaded; or the
            checkpoint does not restore a mask that was edited.
    """
    from aotlab.utils.devices import reserve_cores  # loads PyTorch
    from aotlab.video.directions import TimedTracker
    from aotlab.video.resume import ResumingTracker

    job, options = run.job, run.options
    choose = partial(choose_action, run.folder, run.record, job.input_paths, force=run.force)
    action, earlier = choose()
    if action == "reuse":
        raise InUseError(f"{run.folder}: another process has finished it; run the command again")
    reserve_cores(HELPER_THREADS)
    model = load_tracker(job.overrides)
    segmenter = open_segmenter(job.segmenter, model) if run.prompts else None
    tracker, restored = TimedTracker(model), list[str]()
    if job.is_resumable(options):
        confidence = not {*options.write} <= {*BUILT_IN_OUTPUTS}  # other outputs may store it
        tracker = ResumingTracker(model, run.folder, run.source.stem, run.frames.first, confidence=confidence)
        restored = tracker.load() if action == "resume" else []
    if action == "resume":
        choose(restored=restored)
    if not restored:
        model.reset(run.frames.count)
    return tracker, segmenter, earlier, bool(restored)


def open_segmenter(segmenter: tuple[Path, Path] | None, tracker: Tracker) -> PromptSegmenter:
    """Return the segmenter of `Job.segmenter`, else the tracker's own, else the bundled model's."""
    if segmenter is None and tracker.model.prompts is not None:
        return tracker.segmenter
    return load_segmenter(segmenter, device=str(tracker.device))


def _record_result(folder: Path, record: JobRecord, result: TrackResult, earlier: JobRecord) -> None:
    """Record the result of a run that has ended; without a frame, earlier results keep their record."""
    record.frames, record.seconds = result.frames, round(result.seconds, 3)
    record.error = UNFINISHED if result.interrupted else result.error
    if record.last_frame is None and not record.fingerprint:  # of a stream; known only now
        record.last_frame = record.first_frame + result.frames + result.dropped_frames - 1
    masks = {PROMPT_MASKS} & {*record.written}
    record.written = sorted(masks.union(path.name for path in result.written.values() if is_complete(path)))
    # on a full disk, the run's error says more than that of its record, which stays unfinished
    with suppress(InputError) if result.error else nullcontext():
        if result.frames or not earlier.outputs:
            write_job_record(folder, record)
    if record.error is None:
        remove(folder / STATE_FILE)
