"""Tracking of a video into a folder of results: planned, resumed if it was interrupted, and recorded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aotlab.engine.prompting.load import load_segmenter
from aotlab.engine.prompting.segmenter import PromptSegmenter, require_pixels
from aotlab.engine.tracking.options import TrackerOptions
from aotlab.media.frames import FrameSource
from aotlab.media.job_record import (
    CORRECTED_FILE,
    JOB_RECORD,
    PROMPT_MASKS,
    UNFINISHED,
    JobRecord,
    read_job_record,
    remove_results,
    write_job_record,
)
from aotlab.media.location import locate_video
from aotlab.media.masks import write_mask
from aotlab.media.video import compute_fingerprint
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import remove, require_writable
from aotlab.utils.locks import InUseError, locked_output, remove_leftovers
from aotlab.utils.processes import StopFlag
from aotlab.utils.streaming import HELPER_THREADS
from aotlab.utils.text import strip_credentials
from aotlab.utils.value_syntax import FrameObjectValue
from aotlab.video.classes import ObjectClasses
from aotlab.video.digest import digest_inputs, result_settings
from aotlab.video.inputs import FrameSelection
from aotlab.video.job import CheckedJob, Job, check_job
from aotlab.video.outputs import (
    BUILT_IN_OUTPUTS,
    OutputContext,
    require_inputs_outside,
)
from aotlab.video.plan import RerunOptions, plan_job, saves_checkpoints
from aotlab.video.resume import STATE_FILE, Checkpoint
from aotlab.video.track import JobOptions, TrackResult, group_removals, track_frames

if TYPE_CHECKING:
    from aotlab.engine.tracking.tracker import Tracker

    LoadTracker = Callable[[tuple[str, ...]], Tracker]


def run_job(
    job: Job,
    folder: str | Path,
    tracker: TrackerOptions | Tracker | None = None,
    options: JobOptions | None = None,
    *,
    force: bool = False,
    restart: bool = False,
) -> TrackResult:
    """Track one video into a folder, or resume it; results already in the folder are reused.

    Everything is checked before the model is loaded, and results are replaced only after that. A run that ends early
    does not raise: check `TrackResult.error` and `TrackResult.interrupted`. A stopped run resumes if its inputs are the
    same and `TrackResult.resumable`; any other starts over.

    Args:
        job: the video and its masks.
        folder: output folder, created if missing.
        tracker: the model, or a tracker with the model loaded, for several jobs; None: the bundled one.
        options: outputs and how to track; their frame numbers count as the job's do.
        force: replace results of other inputs.
        restart: track again from the first frame.

    Raises:
        InputError: a bad video, mask or option; the folder is not writable, in use, or holds results of other inputs.
    """
    tracker, options, folder = tracker or TrackerOptions(), options or JobOptions(), Path(folder)
    load = tracker.load if isinstance(tracker, TrackerOptions) else partial(_reuse_model, tracker)
    checked, results = plan_run(job, folder, tracker, options, RerunOptions(force, restart))
    if not results.finished:
        return track_job(results, checked, load)
    written = {name: folder / output.file_name for name, output in options.outputs.items()}
    return TrackResult(results.earlier.frames, results.earlier.seconds, written, reused=True)


def track(
    tracker: Tracker,
    source: FrameSource,
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
        masks: H×W object ids by frame index, of frames to track; later masks may add objects.
        output: folder, created if missing; outputs of an earlier `track` are replaced, results of `run_job` are not.
        options: outputs and how to track; None: the defaults.
        frames: frames to track; None: all.
        classes: classes and attributes of the objects, or class names by object id, for outputs that store them.

    Raises:
        InputError: no masks, the output folder is not writable or holds results of `run_job` or corrected masks, a
            removal is of no object, or the first frame failed.
        Exception: an internal error, raised after outputs are completed.
    """
    options = options or JobOptions()
    require(bool(masks), "masks: expected masks by frame index, with at least one; pass {0: mask}")
    frames = frames or FrameSelection(source, by_name=options.by_name)
    for index in masks:
        frames.require(index, f"mask of frame {index}")
    ids = {index: np.unique(mask).tolist() for index, mask in masks.items()}
    removals = group_removals(options.removals, ids, frames)
    folder = require_writable(Path(output))
    earlier = read_job_record(folder)
    of_run_job = (folder / JOB_RECORD).exists() and (earlier is None or earlier.input_digest)
    if of_run_job or (folder / CORRECTED_FILE).exists():
        results = "results of run_job" if of_run_job else "corrected masks"
        raise InputError(
            f"output {output}: already contains {results}; choose another folder, or delete this one"
        )
    classes = classes if isinstance(classes, ObjectClasses) else ObjectClasses(dict(classes or {}))
    record = JobRecord(folder.name, error=UNFINISHED, class_names=dict(classes.class_names))
    record.outputs = [output_class.file_name for output_class in options.outputs.values()]
    describe_frames(record, source, frames)
    if earlier is not None:
        remove_results(folder, earlier)
    write_job_record(folder, record)
    context = OutputContext(source, classes, frames.number)
    result = track_frames(tracker, context, frames, masks, removals, folder, options)
    save_result(folder, record, result)
    return result


def plan_run(
    job: Job, folder: Path, tracker: TrackerOptions | Tracker, options: JobOptions, rerun: RerunOptions
) -> tuple[CheckedJob, JobResults]:
    """Check a job and its folder, without loading the model; return the job, and what to do about earlier results."""
    checked = check_job(job, options)
    record = start_checked_record(checked, digest_inputs(job, result_settings(tracker, options)))
    return checked, JobResults(job, folder, options, record, rerun)


def _reuse_model(tracker: Tracker, overrides: tuple[str, ...]) -> Tracker:
    """Return a fresh tracker of a loaded model; raise `InputError` for overrides, which need another."""
    if overrides:
        raise InputError(f"overrides {' '.join(overrides)}: need TrackerOptions in place of a loaded tracker")
    return tracker.fresh()


def track_job(
    results: JobResults,
    checked: CheckedJob,
    load_tracker: LoadTracker,
    *,
    class_list: Path | None = None,
    on_start: Callable[[], None] = lambda: None,
    stop: StopFlag | None = None,
) -> TrackResult:
    """Track the video of a job, or resume it, as planned; raises the errors of `run_job` about the folder.

    Args:
        results: results in the folder, which is locked while it is tracked.
        checked: the job.
        load_tracker: returns a tracker with the job's overrides, for example a cached one.
        class_list: file with the class ids of a list of jobs, to which this job's classes are added.
        on_start: called after all checks, before the first frame.
        stop: flag that stops a list; None: one that Ctrl-C, SIGTERM and SIGHUP set.
    """
    folder = results.folder
    with results.lock():
        tracker, segmenter = load_models(checked, load_tracker)
        on_start()
        inner_folders = (path for name in results.earlier.outputs for path in (folder / name).glob("**/"))
        for path in (folder, *inner_folders):
            remove_leftovers(path)
        prompt_masks = {}
        if segmenter is not None:
            for index, prompts in checked.prompts.items():
                prompt_masks[index] = segmenter(checked.source.read(index), prompts)
                require_pixels(prompt_masks[index], prompts)
        checkpoint = results.open_checkpoint(tracker, checked.source.stem)
        with results.record_run():
            for index, labels in prompt_masks.items():
                path = folder / PROMPT_MASKS / f"{checked.source.stem(index)}.png"
                write_mask(path, labels, max_id=max(checked.prompts[index]))
                checked.masks.add(index, labels)
            classes = ObjectClasses.from_annotations(checked.masks.annotations, class_list)
            context = OutputContext(checked.source, classes, checked.frames.number)
            result = track_frames(
                tracker, context, checked.frames, checked.masks, checked.removals, folder, checked.options,
                checkpoint=checkpoint, stop=stop,
            )  # fmt: skip
        results.save(result)
    return result


def load_models(checked: CheckedJob, load_tracker: LoadTracker) -> tuple[Tracker, PromptSegmenter | None]:
    """Return the tracker, and the segmenter if there are prompts."""
    from aotlab.utils.devices import reserve_cores  # loads PyTorch

    reserve_cores(HELPER_THREADS)
    tracker = load_tracker(checked.job.overrides)
    return tracker, open_segmenter(checked.job.segmenter, tracker) if checked.prompts else None


def open_segmenter(segmenter: str | tuple[Path, Path] | None, tracker: Tracker) -> PromptSegmenter:
    """Return the segmenter of `Job.segmenter`, else the tracker's own, else the bundled model's."""
    if segmenter is None and tracker.model.prompts is not None:
        return tracker.segmenter
    if isinstance(segmenter, str):
        return load_segmenter(plugin=segmenter)
    return load_segmenter(segmenter, device=str(tracker.device))


class JobResults:
    """Results in the folder of a job: the record of this run, and what an earlier run left.

    Args:
        folder: output folder.
        options: outputs and how to track.
        record: record of this run before its first frame.
        rerun: what the run may do about earlier results.

    Raises:
        InputError: the earlier results must not be replaced, or the video would be overwritten.
    """

    def __init__(
        self, job: Job, folder: Path, options: JobOptions, record: JobRecord, rerun: RerunOptions
    ) -> None:
        self.job, self.folder, self.options, self.record = job, folder, options, record
        earlier = read_job_record(folder)
        self._resumable = saves_checkpoints(job, options)
        self.earlier = earlier or JobRecord(job.name)
        self.action = plan_job(
            folder, record, earlier, rerun, repeatable=job.is_repeatable(options), resumable=self._resumable
        )
        if not self.finished:
            names = {*record.outputs, *self.earlier.outputs}
            require_inputs_outside({job.video: Path(job.video)}, names, folder)

    @property
    def finished(self) -> bool:
        """Whether nothing is to be tracked."""
        return self.action in ("reuse", "keep_corrections")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder; raise `InUseError` if another process holds it or has written to it since the plan."""
        with locked_output(self.folder):
            if (read_job_record(self.folder) or JobRecord(self.job.name)) != self.earlier:
                raise InUseError(f"{self.folder}: another process has written to it; run the command again")
            yield

    def open_checkpoint(self, tracker: Tracker, stem: Callable[[int], str]) -> Checkpoint | None:
        """Return the checkpoint to save, after restoring the tracker if the run resumes.

        None: the outputs cannot be resumed. ``stem``: returns the name of a frame's files.
        """
        if not self._resumable:
            return None
        confidence = not {*self.options.write} <= {*BUILT_IN_OUTPUTS}  # other outputs may store it
        checkpoint = Checkpoint(self.folder, stem, confidence=confidence)
        if self.action == "resume":
            checkpoint.load(tracker)
        return checkpoint

    @contextmanager
    def record_run(self) -> Iterator[None]:
        """Record the run of the block as unfinished, after removing earlier results unless they are resumed.

        A block that raises `InputError` has written no frame; what it has written is removed.
        """
        kept_masks = {Path(mask.value).resolve() for mask in self.job.masks}
        resumed = self.action == "resume"
        if self.job.is_stored:
            self.record.fingerprint = compute_fingerprint(Path(self.job.video))
        if not resumed:  # after all checks: masks may be among them
            remove_results(self.folder, self.earlier, kept_masks)
            remove(self.folder / STATE_FILE)
        write_job_record(self.folder, self.record)
        try:
            yield
        except InputError:
            if not resumed:
                remove_results(self.folder, self.record, kept_masks)
            raise

    def save(self, result: TrackResult) -> None:
        """Save the record of a run that has ended."""
        save_result(self.folder, self.record, result)
        if self.record.error is None:
            remove(self.folder / STATE_FILE)


def save_result(folder: Path, record: JobRecord, result: TrackResult) -> None:
    """Save the record of a run that has ended, with its result."""
    record.frames, record.seconds = result.frames, round(result.seconds, 3)
    record.error = UNFINISHED if result.interrupted else result.error
    masks = {PROMPT_MASKS} & {*record.written}
    record.written = sorted(masks.union(path.name for path in result.written.values()))
    # on a full disk, the run's error says more than that of its record, which stays unfinished
    with suppress(InputError) if result.error else nullcontext():
        write_job_record(folder, record)


def start_record(job: Job, options: JobOptions | None = None, input_digest: str = "") -> JobRecord:
    """Return the record of an unfinished job, with absolute paths, and URLs without passwords.

    Args:
        options: outputs to write; None: unknown.
        input_digest: digest of all inputs, of `digest_inputs`.
    """
    kind, video = locate_video(job.video)
    is_path = kind in ("stored", "pipe") or os.path.exists(video)
    video = os.path.abspath(video) if is_path else strip_credentials(video)
    masks = [str(mask._replace(value=str(Path.cwd() / mask.value))) for mask in job.masks]
    outputs = [] if options is None else [output.file_name for output in options.outputs.values()]
    outputs += [PROMPT_MASKS] if outputs and job.has_prompts else []
    return JobRecord(
        job.name, video, input_digest, error=UNFINISHED, written=outputs, outputs=outputs, masks=masks,
        levels=job.levels,
    )  # fmt: skip


def start_checked_record(checked: CheckedJob, input_digest: str) -> JobRecord:
    """Return the record of a checked job that is not finished."""
    record = start_record(checked.job, checked.options, input_digest)
    describe_frames(record, checked.source, checked.frames)
    record.masks, record.class_names = _locate_masks(checked), checked.class_names
    return record


def describe_frames(record: JobRecord, source: FrameSource, frames: FrameSelection) -> None:
    """Set the fields of a record that describe a video and its frames to track."""
    record.video_name, record.rate = source.name, str(source.rate)
    record.first_frame, record.last_frame = frames.first, frames.last
    if source.named and frames.last is not None:
        record.stems = [*map(source.stem, range(frames.first, frames.last + 1))]


def _locate_masks(checked: CheckedJob) -> list[str]:
    """Return the masks of a job with absolute paths, and frame indices for masks of one frame."""
    masks, frames = [], checked.frames
    for mask in checked.job.masks:
        index = frames.first if frames.first and Path(mask.value).suffix.lower() == ".png" else None
        if mask.frame is not None:
            index = frames.index(mask.frame, f"mask {mask}")
        masks.append(str(FrameObjectValue(index, mask.object_id, os.path.abspath(mask.value))))
    return masks
