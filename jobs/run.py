"""Tracking of a video into a folder of results: checked inputs, the run, and its record."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
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
from aotlab.jobs.job import MASK_SUFFIXES, Job
from aotlab.jobs.job_file import find_masks_beside
from aotlab.jobs.outputs import BUILT_IN_OUTPUTS, OutputContext
from aotlab.jobs.results import (
    ASIDE,
    STATE_FILE,
    Action,
    Replacement,
    choose_action,
    is_complete,
    restore_aside,
)
from aotlab.jobs.track import JobOptions, TrackResult, group_removals, track_frames
from aotlab.media.frames import FrameSource
from aotlab.media.job_record import PROMPT_MASKS, UNFINISHED, JobRecord, write_job_record
from aotlab.media.location import locate_video
from aotlab.media.prompt import Prompt, group_prompts
from aotlab.media.regions import Annotations, VideoInfo
from aotlab.media.video import compute_fingerprint, open_frames
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import prefix_errors, reading, remove, sibling_path
from aotlab.utils.locks import InUseError, locked_output
from aotlab.utils.processes import StopFlag
from aotlab.utils.streaming import HELPER_THREADS
from aotlab.utils.text import shorten, strip_credentials
from aotlab.utils.value_syntax import FrameObjectValue

if TYPE_CHECKING:
    from aotlab.engine.tracking.tracker import Tracker
    from aotlab.jobs.directions import TimedTracker

    LoadTracker = Callable[[tuple[str, ...]], Tracker]


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobRun:
    """A run of a job: its checked inputs, and what to do about earlier results. No PyTorch is loaded for this."""

    job: Job
    folder: Path
    """output folder"""
    options: JobOptions
    force: bool
    """whether results of other inputs are replaced"""
    action: Action
    record: JobRecord
    """record of the run, or of the results that are reused"""
    source: FrameSource
    frames: FrameSelection
    masks: Annotations
    """masks from files or arrays, with class names"""
    prompts: Mapping[int, Mapping[int, Prompt]]
    """prompts by frame index and object id, with boxes cropped to the frame"""
    removals: Mapping[int, Sequence[int]]
    """ids of the objects to remove, by frame index"""
    objects: set[int]
    """ids of all objects"""

    def estimate_bytes(self) -> int:
        """Return about how many bytes the results take; 0 for a stream."""
        height, width = self.source.size
        count = self.frames.count
        if count is None and (length := self.source.count_frames()) is not None:
            count = length - self.frames.first
        bytes_per_pixel = sum(
            output.bytes_per_pixel * (len(self.objects) if output.per_object else 1)
            for output in self.options.outputs.values()
        )
        return int(height * width * (count or 0) * bytes_per_pixel)


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
    tracker, options = tracker or TrackerOptions(), options or JobOptions()
    is_tracker = isinstance(tracker, TrackerOptions) or hasattr(tracker, "fresh")
    require(is_tracker, f"tracker: expected a Tracker or TrackerOptions, got {shorten(repr(tracker))}")
    require(isinstance(options, JobOptions), f"options: expected JobOptions, got {shorten(repr(options))}")
    load = tracker.load if isinstance(tracker, TrackerOptions) else partial(_reuse_model, tracker)
    read_settings = partial(result_settings, tracker, options)
    return execute_run(plan_job(job, Path(folder), options, read_settings, force=force), load)


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
        InputError: no masks, the output folder is not writable, in use, or holds the video, results of `run_job` or
            corrected masks, a removal is of no object, or the first frame failed.
        Exception: an internal error, raised after outputs are completed.
    """
    from aotlab.engine.tracking.inputs import convert_mask  # loads PyTorch

    require(hasattr(tracker, "fresh"), f"tracker: expected a Tracker, got {shorten(repr(tracker))}")
    is_mapping = (
        isinstance(masks, Mapping) and len(masks) > 0 and all(isinstance(index, Integral) for index in masks)
    )
    require(is_mapping, "masks: expected masks by frame index, with at least one; pass {0: mask}")
    options, folder = options or JobOptions(), Path(output)
    if not isinstance(source, FrameSource):
        source = open_frames(source, timeout=options.timeout)
    frames = frames or FrameSelection(source, by_name=options.by_name)
    if not isinstance(classes, ObjectClasses):
        with reading("classes", "give class names by object id"):
            classes = ObjectClasses(dict(classes or {}))
    annotations = Annotations(source.size, class_names=dict(classes.class_names))
    for index, mask in masks.items():
        frames.require(index, f"mask of frame {index}")
        with prefix_errors(f"frame {index}"):
            labels = convert_mask(mask, source.size, required=index == min(masks))
        annotations.add_mask(index, np.zeros(source.size) if labels is None else labels)
    job = Job(folder.name, "-" if source.path is None else str(source.path))
    run = _plan_run(job, folder, options, source, frames, annotations, lambda record: {}, force=True)
    return execute_run(run, lambda overrides: tracker, find_classes=lambda masks: classes)


def plan_job(
    job: Job,
    folder: Path,
    options: JobOptions,
    read_settings: Callable[[], Mapping[str, Any]],
    *,
    force: bool = False,
    in_list: bool = False,
) -> JobRun:
    """Check the inputs of a run and plan it; warn of frames before the first mask. No model is loaded.

    Args:
        folder: output folder.
        options: outputs and how to track.
        read_settings: returns `result_settings`; called after checks that need no PyTorch.
        force: replace results of other inputs.
        in_list: the job comes from a list: a stream is tracked once instead of at each run, and masks of another video
            are refused, as lines may be mixed up.

    Raises:
        InputError: a bad video, mask or prompt, or the folder contains what must not be replaced.
    """
    if problem := job.describe_missing_files():
        raise InputError(problem)
    video_name = strip_credentials(job.video)
    if not job.has_objects:
        names = ", ".join(sibling_path(Path(video_name), suffix).name for suffix in MASK_SUFFIXES)
        raise InputError(
            f"{video_name}: nothing to track; give a box, points or masks, or put {names} next to it"
        )
    source = open_frames(job.video, timeout=options.timeout, levels=job.levels, rate=job.rate)
    frames = FrameSelection(source, job.start, job.end, by_name=options.by_name)
    # perhaps not meant as masks
    with prefix_errors("masks next to the video" if job.masks == find_masks_beside(job.video) else ""):
        masks = load_masks(job.masks, VideoInfo.from_source(source), frames, strict=in_list)

    def digest(record: JobRecord) -> dict[str, str]:
        settings = read_settings()  # checks them
        if in_list or job.is_repeatable(options):
            return digest_inputs(job, settings, record)
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
        raise InputError(
            f"class {job.classes[object_id]}: no mask or prompt has object {object_id}; give its id, as in :2=NAME"
        )
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
    if (folder / ASIDE).is_dir():  # left by a killed process
        with locked_output(folder):
            restore_aside(folder)
    action, earlier = choose_action(folder, record, job.input_paths, force=force)
    if action == "reuse":
        record = earlier
    elif (first := min(ids)) > frames.first and not options.both_directions:
        _warn_about_empty_masks(job, source, frames, first)
    return JobRun(
        job, folder, options, force, action, record, source, frames, masks, prompts, removals, objects
    )


def _index_prompts(
    job: Job, source: FrameSource, frames: FrameSelection, masks: Annotations
) -> dict[int, dict[int, Prompt]]:
    """Return the prompts by frame index and object id, cropped to the frame; reject prompts on frames with masks."""
    by_number = group_prompts(job.boxes, job.points, job.not_points, first_frame=frames.number(frames.first))
    if by_number and not job.is_stored:
        name = strip_credentials(job.video)
        raise InputError(f"{name}: prompts need a video file or a folder; give a mask for a stream")
    subject = job.label if job.list_line else source.name
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


def _warn_about_empty_masks(job: Job, source: FrameSource, frames: FrameSelection, first: int) -> None:
    """Warn that the frames before the first mask or prompt, at index ``first``, get empty masks."""
    start, last, number = frames.number(frames.first), frames.number(first - 1), frames.number(first)
    unnamed = {mask.frame for mask in job.masks if mask.object_id is None}
    unnamed |= {prompt.frame for prompt in (*job.boxes, *job.points) if prompt.object_id == 1}
    log.warning(
        "%s: %s before the first mask: empty masks are written; track in both directions, or start at frame %d%s",
        job.label if job.list_line else source.name,
        f"frames {start} to {last} come" if start < last else f"frame {start} comes",
        number,
        suggest_object_syntax(number) if number in unnamed else "",
    )


def make_record(job: Job, frames: FrameSelection | None = None) -> JobRecord:
    """Return the record of an unfinished job, with absolute paths, and URLs without passwords.

    Args:
        frames: frames to track, whose indices then name the frames of masks; None: unknown.
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
    """Track the video of a job, or resume it, as planned; the folder is locked.

    Args:
        run: the job, of `plan_job`.
        load_tracker: returns a tracker with the job's overrides, for example a cached one.
        find_classes: returns classes and attributes of the objects in the masks.
        on_start: called after all checks, before the first frame.
        stop: flag that stops a list; None: one that Ctrl-C, SIGTERM and SIGHUP set.
    """
    from aotlab.jobs.resume import ResumingTracker  # loads PyTorch

    folder, options, record, source = run.folder, run.options, run.record, run.source
    if run.action == "reuse":
        files = {name: output.file_name for name, output in options.outputs.items()}
        written = {name: folder / file for name, file in files.items() if file in record.written}
        return TrackResult(record.frames, record.seconds, written, reused=True)
    with locked_output(folder):
        restore_aside(folder)
        tracker, segmenter, earlier, resumed = _prepare_tracker(run, load_tracker)
        on_start()
        prompt_files = {}
        if segmenter is not None:
            for index, prompts in run.prompts.items():
                labels = segmenter(source.read(index), prompts)
                require_pixels(labels, prompts)
                run.masks.add_mask(index, labels)
                prompt_files[folder / PROMPT_MASKS / f"{source.frame_name(index)}.png"] = labels
        context = OutputContext(source, find_classes(run.masks), run.frames.number)
        with Replacement(folder, record, earlier, prompt_files, resumed=resumed) as replacement:
            result = track_frames(
                tracker, context, run.frames, run.masks, run.removals, folder, options, replacement, stop
            )
        if isinstance(tracker, ResumingTracker):
            if result.interrupted or result.error:
                tracker.save_stopped(result.frames)
            resumable = (folder / STATE_FILE).is_file()
            result = replace(result, restored_frames=tracker.num_restored, resumable=resumable)
        _record_result(folder, record, result, earlier)
    return result


def check_run(run: JobRun, load_tracker: LoadTracker) -> None:
    """Raise what `execute_run` would raise before the first frame; write nothing."""
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
    from aotlab.jobs.directions import TimedTracker
    from aotlab.jobs.resume import ResumingTracker
    from aotlab.utils.devices import leave_cores_free  # loads PyTorch

    job, options = run.job, run.options
    choose = partial(choose_action, run.folder, run.record, job.input_paths, force=run.force)
    action, earlier = choose()
    if action == "reuse":
        raise InUseError(f"{run.folder}: another process has finished it; run the command again")
    leave_cores_free(HELPER_THREADS)
    model = load_tracker(job.overrides)
    segmenter = open_segmenter(job.segmenter, model) if run.prompts else None
    tracker, restored = TimedTracker(model), list[str]()
    if run.record.input_digests and job.is_resumable(options):
        confidence = not {*options.write} <= {*BUILT_IN_OUTPUTS}  # other outputs may store it
        tracker = ResumingTracker(
            model, run.folder, run.source.frame_name, run.frames.first, confidence=confidence
        )
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
