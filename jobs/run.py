"""Tracking of a video into a folder of results: checked inputs, the run, and its record."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aotlab.engine.prompting.load import load_segmenter
from aotlab.engine.prompting.segmenter import PromptSegmenter, require_pixels
from aotlab.engine.tracking.options import TrackerOptions
from aotlab.jobs.classes import ObjectClasses
from aotlab.jobs.digests import digest_inputs, result_settings
from aotlab.jobs.inputs import FrameSelection, load_masks, suggest_object_syntax
from aotlab.jobs.job import MASK_SUFFIXES, Job, JobOptions, parse_class_names
from aotlab.jobs.job_file import find_masks_beside
from aotlab.jobs.outputs import BUILT_IN_OUTPUTS
from aotlab.jobs.results import STATE_FILE, Action, Replacement, choose_action, has_content, restore_aside
from aotlab.jobs.track import JobRun, TrackResult, group_removals, track_frames
from aotlab.media.frames import FrameSource
from aotlab.media.job_record import PROMPT_MASKS, UNFINISHED, JobRecord, write_job_record
from aotlab.media.location import locate_video
from aotlab.media.prompt import Prompt, group_prompts
from aotlab.media.regions import MAX_ID, Annotations, VideoInfo
from aotlab.media.video import compute_fingerprint, open_frames
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import prefix_errors, remove, sibling_path
from aotlab.utils.locks import locked_output
from aotlab.utils.processes import StopFlag
from aotlab.utils.streaming import HELPER_THREADS
from aotlab.utils.text import shorten, strip_credentials
from aotlab.utils.value_syntax import FrameObjectValue

if TYPE_CHECKING:
    from aotlab.engine.tracking.tracker import Tracker
    from aotlab.jobs.directions import TimedTracker

    LoadTracker = Callable[[tuple[str, ...]], Tracker]


log = logging.getLogger(__name__)


def run_job(
    job: Job,
    folder: str | Path,
    tracker: TrackerOptions | Tracker | None = None,
    options: JobOptions | None = None,
    *,
    force: bool = False,
) -> TrackResult:
    """Track one video into a folder, or resume it; finished results of the same inputs are reused.

    Inputs are checked before the model is loaded, and earlier results removed only once the first frame is written.
    A run that ends early does not raise: check `TrackResult.error` and `TrackResult.interrupted`. A stopped run
    resumes if its inputs are the same and `TrackResult.resumable`; any other starts over.

    Args:
        job: the video and its masks.
        folder: output folder, created if missing.
        tracker: the model, or a tracker with the model loaded, for several jobs; None: the bundled one.
        options: outputs and how to track.
        force: replace results of other inputs.

    Raises:
        InputError: a bad video, mask or option; the folder is not writable, in use, or holds results of other inputs.
    """
    is_job = isinstance(job, Job) and all(isinstance(mask, FrameObjectValue) for mask in job.masks)
    require(is_job, f"job: expected Job.parse(name, video, masks), got {shorten(repr(job))}")
    tracker, options = tracker or TrackerOptions(), _check_options(options)
    is_tracker = isinstance(tracker, TrackerOptions) or hasattr(tracker, "fresh")
    require(is_tracker, f"tracker: expected a Tracker or TrackerOptions, got {shorten(repr(tracker))}")
    load = tracker.load if isinstance(tracker, TrackerOptions) else partial(_reuse_model, tracker)
    read_settings = partial(result_settings, tracker, options)
    return execute_run(plan_job(job, Path(folder), options, read_settings, force=force), load)


def _check_options(options: JobOptions | None) -> JobOptions:
    """Return the options, by default `JobOptions`; raise `InputError` for other types."""
    options = JobOptions() if options is None else options
    require(isinstance(options, JobOptions), f"options: expected JobOptions, got {shorten(repr(options))}")
    return options


def _reuse_model(tracker: Tracker, overrides: tuple[str, ...]) -> Tracker:
    """Return a fresh tracker of a loaded model; raise `InputError` for overrides, which need another."""
    require(
        not overrides, f"overrides {' '.join(overrides)}: need TrackerOptions in place of a loaded tracker"
    )
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
        InputError: no masks, the output folder is not writable, in use, or holds the video, results of `run_job` or
            corrected masks, a removal is of no object, or the first frame failed.
        Exception: an internal error, raised after outputs are completed.
    """
    from aotlab.engine.tracking.inputs import convert_mask  # loads PyTorch

    require(hasattr(tracker, "fresh"), f"tracker: expected a Tracker, got {shorten(repr(tracker))}")
    is_mapping = isinstance(masks, Mapping) and all(isinstance(index, Integral) for index in masks)
    require(
        is_mapping and len(masks) > 0,
        "masks: expected masks by frame index, with at least one; pass {0: mask}",
    )
    is_selection = frames is None or isinstance(frames, FrameSelection)
    require(is_selection, f"frames: expected a FrameSelection, got {shorten(repr(frames))}")
    options, folder = _check_options(options), Path(output)
    if not isinstance(source, FrameSource):
        source = open_frames(source, timeout=options.timeout)
    frames = frames or FrameSelection(source, by_name=options.by_name)
    if not isinstance(classes, ObjectClasses):
        classes = ObjectClasses(parse_class_names(classes or ()))
    annotations = Annotations(source.size)
    for index, mask in masks.items():
        frames.require(index, f"mask of frame {index}")
        with prefix_errors(f"frame {index}"):
            labels = convert_mask(mask, source.size, required=index == min(masks))
        annotations.add_mask(index, np.zeros(source.size) if labels is None else labels)
    largest = max(annotations.objects())
    require(largest <= MAX_ID, f"masks: object ids must be 0 to {MAX_ID}, got {largest}")
    video = "-" if source.path is None else str(source.path)
    job = Job(folder.name, video, classes=classes.class_names)
    run = _plan_run(job, folder, options, source, frames, annotations, lambda record: {}, force=True)
    return execute_run(run, lambda overrides: tracker, find_classes=lambda masks: classes)


def plan_job(
    job: Job,
    folder: Path,
    options: JobOptions,
    read_settings: Callable[[], Mapping[str, Any]],
    *,
    force: bool = False,
    from_list: bool = False,
) -> JobRun:
    """Check the inputs of a job and return its run. No model is loaded.

    Args:
        read_settings: returns `result_settings`; called after checks that need no PyTorch.
        force: replace results of other inputs.
        from_list: the job comes from a list. Then a stream is tracked once instead of at each run, and masks of another
            video are refused, as lines may be mixed up.
    """
    if problem := job.describe_missing_files():
        raise InputError(problem)
    video_name = strip_credentials(job.video)
    if not job.has_objects:
        names = ", ".join(sibling_path(Path(video_name), suffix).name for suffix in MASK_SUFFIXES)
        remedy = f"give a box, points or masks, or put {names} next to it"
        raise InputError(f"{video_name}: nothing to track; {remedy}")
    source = open_frames(job.video, timeout=options.timeout, levels=job.levels, rate=job.rate)
    frames = FrameSelection(source, job.start, job.end, by_name=options.by_name)
    # perhaps not meant as masks
    with prefix_errors("masks next to the video" if job.masks == find_masks_beside(job.video) else ""):
        masks = load_masks(job.masks, VideoInfo.from_source(source), frames, strict=from_list)

    def digest(record: JobRecord) -> dict[str, str]:
        settings = read_settings()  # checks them
        if from_list or job.is_repeatable(options):
            return digest_inputs(job, settings, record, frames.number(frames.first))
        return {"recording": secrets.token_hex()}  # another run has other frames

    return _plan_run(job, folder, options, source, frames, masks, digest, force=force)


def _plan_run(
    job: Job,
    folder: Path,
    options: JobOptions,
    source: FrameSource,
    frames: FrameSelection,
    masks: Annotations,
    digest: Callable[[JobRecord], dict[str, str]],
    *,
    force: bool,
) -> JobRun:
    """Return the run of a job whose inputs were read; ``digest`` returns the digests of the inputs of a record."""
    prompts = _index_prompts(job, source, frames, masks)
    ids: dict[int, Collection[int]] = {
        index: {region.object_id for region in regions} for index, regions in masks.frames.items()
    }
    ids |= prompts
    removals = group_removals(options.removals, ids, frames)
    objects = set[int]().union(*ids.values())
    for object_id in job.classes.keys() - objects:
        problem = f"no mask or prompt has object {object_id}; give its id, as in :2=NAME"
        raise InputError(f"class {job.classes[object_id]}: {problem}")
    masks.class_names.update(job.classes)
    outputs = [name for output in options.outputs.values() for name in (output.file_name, *output.side_files)]
    outputs += [PROMPT_MASKS] * bool(prompts)
    record = replace(
        make_record(job, frames), class_names=masks.class_names, written=outputs, outputs=outputs,
        fingerprint=compute_fingerprint(Path(job.video)) if job.is_stored else {},
        video_name=source.name, rate=str(source.rate), first_frame=frames.first, last_frame=frames.last,
    )  # fmt: skip
    if source.has_names and frames.last is not None:
        record.frame_names = [*map(source.frame_name, range(frames.first, frames.last + 1))]
    record.input_digests = digest(record)
    return JobRun(job, folder, options, force, record, source, frames, masks, prompts, removals, objects)


def _index_prompts(
    job: Job, source: FrameSource, frames: FrameSelection, masks: Annotations
) -> dict[int, dict[int, Prompt]]:
    """Return the prompts by frame index and object id, cropped to the frame; reject prompts on frames with masks."""
    by_number = group_prompts(job.boxes, job.points, job.not_points, first_frame=frames.number(frames.first))
    if by_number and not job.is_stored:
        name = strip_credentials(job.video)
        raise InputError(f"{name}: prompts need a video file or a folder; give a mask for a stream")
    subject = job.label if job.source_line else source.name
    prompts = {}
    for number, by_object in by_number.items():
        suggestion = suggest_object_syntax(number if 1 in by_object else None)
        index = frames.index(number, f"box or point of frame {number}{suggestion}")
        if index in masks:
            raise InputError(f"prompt of frame {number}: it has a mask; draw the objects there, or remove it")
        prompts[index] = {
            object_id: prompt.crop_box(source.size, object_id, f"{subject}: ")
            for object_id, prompt in by_object.items()
        }
    return prompts


def _warn_about_empty_masks(run: JobRun) -> None:
    """Warn if frames before the first mask or prompt get empty masks."""
    job, frames, first = run.job, run.frames, min({*run.masks, *run.prompts})
    if first == frames.first:
        return
    subject, number = job.label if job.source_line else run.source.name, frames.number(first)
    unnamed = {mask.frame for mask in job.masks if mask.object_id is None}
    unnamed |= {prompt.frame for prompt in (*job.boxes, *job.points) if prompt.object_id == 1}
    suggestion = suggest_object_syntax(number) if number in unnamed else ""
    message = (
        "%s: empty masks before frame %d, the first with a mask; track in both directions, or start there%s"
    )
    log.warning(message, subject, number, suggestion)


def make_record(job: Job, frames: FrameSelection | None = None) -> JobRecord:
    """Return the record of an unfinished job, with absolute paths, and URLs without passwords.

    With the ``frames`` to track, their indices name the frames of masks.
    """
    kind, video = locate_video(job.video)
    is_path = kind in ("stored", "pipe") or os.path.exists(video)
    video = os.path.abspath(video) if is_path else strip_credentials(video)
    masks = []
    for mask in job.masks:
        index = mask.frame
        if frames is not None and index is not None:
            index = frames.index(index, f"mask {mask}")
        elif frames is not None and frames.first and Path(mask.value).suffix.lower() == ".png":
            index = frames.first
        masks.append(str(FrameObjectValue(index, mask.object_id, os.path.abspath(mask.value))))
    return JobRecord(job.name, video, error=UNFINISHED, masks=masks, levels=job.levels)


def execute_run(
    run: JobRun,
    load_tracker: LoadTracker,
    *,
    find_classes: Callable[[Annotations], ObjectClasses] = ObjectClasses.from_annotations,
    on_start: Callable[[], None] = lambda: None,
    stop: StopFlag | None = None,
) -> TrackResult:
    """Track the video of a run, resume it, or reuse its finished results; the folder is locked.

    Args:
        load_tracker: returns a tracker with the job's overrides, for example a cached one.
        on_start: called after all checks, before the first frame.
        stop: flag that stops a list; None: a new one, which Ctrl-C, SIGTERM and SIGHUP set.
    """
    folder, record, source = run.folder, run.record, run.source
    with locked_output(folder):
        restore_aside(folder)
        action, earlier = _choose_action(run)
        if action == "reuse":
            current = replace(earlier, video=record.video, masks=record.masks)
            if current != earlier:  # the video or a mask was moved
                write_job_record(folder, current)
            files = {name: output.file_name for name, output in run.options.outputs.items()}
            written = {name: folder / file for name, file in files.items() if file in earlier.written}
            return TrackResult(earlier.frames, earlier.seconds, written, reused=True)
        from aotlab.jobs.resume import ResumingTracker  # loads PyTorch

        tracker, segmenter, resumed = _prepare_tracker(run, load_tracker, action)
        on_start()
        prompt_files = {}
        if segmenter is not None:
            for index, prompts in run.prompts.items():
                labels = segmenter(source.read(index), prompts)
                require_pixels(labels, prompts)
                run.masks.add_mask(index, labels)
                prompt_files[folder / PROMPT_MASKS / f"{source.frame_name(index)}.png"] = labels
        with Replacement(folder, record, earlier, prompt_files, resumed=resumed) as replacement:
            result = track_frames(run, tracker, find_classes(run.masks), replacement, stop)
        if isinstance(tracker, ResumingTracker):
            if result.interrupted or result.error:
                tracker.save_stopped(result.frames)
            resumable = (folder / STATE_FILE).is_file()
            result = replace(result, restored_frames=tracker.num_restored, resumable=resumable)
        _record_result(folder, record, result, earlier)
    return result


def check_run(run: JobRun, load_tracker: LoadTracker) -> Action:
    """Return what `execute_run` would do; raise what it would raise before the first frame. Nothing is written."""
    with locked_output(run.folder):
        action, _ = _choose_action(run)
        if action != "reuse":
            _prepare_tracker(run, load_tracker, action)
    return action


def _choose_action(run: JobRun) -> tuple[Action, JobRecord]:
    """Return what the run does with earlier results in its locked folder, and their record; warn about empty masks."""
    action, earlier = choose_action(run.folder, run.record, run.job.input_paths, force=run.force)
    if action != "reuse" and not run.options.both_directions:
        _warn_about_empty_masks(run)
    return action, earlier


def _prepare_tracker(
    run: JobRun, load_tracker: LoadTracker, action: Action
) -> tuple[TimedTracker, PromptSegmenter | None, bool]:
    """Return the tracker, the segmenter of prompts, and whether the tracker was restored to resume earlier results."""
    from aotlab.jobs.directions import TimedTracker
    from aotlab.jobs.resume import ResumingTracker
    from aotlab.utils.devices import leave_cores_free  # loads PyTorch

    leave_cores_free(HELPER_THREADS)
    model = load_tracker(run.job.overrides)
    segmenter = open_segmenter(run.job.segmenter, model) if run.prompts else None
    tracker, resumed = TimedTracker(model), False
    if run.record.input_digests and run.job.is_resumable(run.options):
        confidence = not {*run.options.write} <= {*BUILT_IN_OUTPUTS}  # other outputs may store it
        tracker = ResumingTracker(
            model, run.folder, run.source.frame_name, run.frames.first, confidence=confidence
        )
        resumed = action == "resume" and tracker.load()
    if not resumed:
        model.reset(run.frames.count)
    return tracker, segmenter, resumed


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
    record.written = sorted(masks.union(path.name for path in result.written.values() if has_content(path)))
    # on a full disk, the run's error says more than that of its record, which stays unfinished
    with suppress(InputError) if result.error else nullcontext():
        if result.frames or not earlier.outputs:
            write_job_record(folder, record)
    if record.error is None:
        remove(folder / STATE_FILE)
