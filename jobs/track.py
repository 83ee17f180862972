"""Tracking of a video into a folder of results."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from aotlab.engine.prompting.load import load_segmenter
from aotlab.engine.prompting.segmenter import PromptSegmenter, require_pixels
from aotlab.engine.tracking.options import TrackerLoader, TrackerOptions
from aotlab.jobs.check import JobRun, check_job
from aotlab.jobs.classes import ObjectClasses
from aotlab.jobs.inputs import FrameSelection
from aotlab.jobs.job import ClassNames, Job, JobOptions, parse_class_names
from aotlab.jobs.outputs import BUILT_IN_OUTPUTS, OutputContext, Outputs, TrackedFrame
from aotlab.jobs.results import STATE_FILE, Action, choose_action, has_content, replace_results
from aotlab.media.frames import FrameSource
from aotlab.media.job_record import PROMPT_MASKS, JobRecord, write_job_record
from aotlab.media.levels import Levels
from aotlab.media.masks import write_mask
from aotlab.media.regions import MAX_ID, Annotations
from aotlab.media.video import open_frames
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import prefix_errors, remove
from aotlab.utils.locks import locked_output
from aotlab.utils.progress import progress_bar
from aotlab.utils.signals import StopFlag, stop_flag
from aotlab.utils.streaming import HELPER_THREADS, ReadAhead, StallError, stream

if TYPE_CHECKING:
    from tqdm import tqdm

    from aotlab.engine.tracking.directions import TimedTracker
    from aotlab.engine.tracking.tracker import Tracker


@dataclass(frozen=True)
class TrackResult:
    """Result of `track` or `run_job`: the written outputs, and the reason if the run stopped early."""

    frames: int
    """Number of frames written."""
    seconds: float
    """Seconds spent in the tracker, without reading and writing."""
    written: dict[str, Path] = field(default_factory=dict)
    """Completed outputs by name; after an early stop they hold the frames until then."""
    summaries: tuple[str, ...] = ()
    """Lines that summarize the outputs, from `Output.summary`."""
    reused: bool = False
    """Whether finished results were reused and nothing was tracked."""
    restored_frames: int = 0
    """Number of written frames that an earlier, interrupted run had tracked."""
    dropped_frames: int = 0
    """Number of frames dropped to keep up."""
    damaged_frames: tuple[int, ...] = ()
    """Indices of damaged frames concealed by the decoder."""
    corrupt_packets: int = 0
    """Number of undecodable packets of a stream."""
    cuts: tuple[int, ...] = ()
    """Numbers of the first frames after cuts, if ``rules.cuts`` is set."""
    levels: Levels | None = None
    """Intensities shown as black and white; None: images are shown as stored."""
    signal_number: int | None = None
    """Number of the signal that stopped the run, if one did."""
    resumable: bool = False
    """Whether another run with the same inputs resumes after an early stop."""
    error: str | None = None
    """Reason for an early stop or missing outputs; None on success."""

    @property
    def interrupted(self) -> bool:
        """Whether a signal stopped the run."""
        return self.signal_number is not None

    @property
    def status(self) -> Literal["unfinished", "failed", "done"]:
        """Status in the record of the run."""
        return "unfinished" if self.interrupted else "failed" if self.error else "done"

    @property
    def frames_per_second(self) -> float:
        """Frames per second of the tracker only; 0 without frames."""
        return (self.frames - self.restored_frames) / self.seconds if self.seconds > 0 else 0.0


def run_job(
    job: Job,
    folder: str | Path,
    tracker: TrackerOptions | Tracker | None = None,
    options: JobOptions | None = None,
    *,
    force: bool = False,
) -> TrackResult:
    """Track one video into a folder, or resume it; finished results of the same inputs are reused.

    Inputs are checked before the model is loaded, and earlier results removed only once the first frame is tracked.
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
    tracker = tracker or TrackerOptions()
    if not isinstance(tracker, TrackerOptions):
        if job.overrides:
            raise InputError(f"overrides {' '.join(job.overrides)}: need TrackerOptions in place of a loaded tracker")
        tracker = tracker.fresh()
    loader = TrackerLoader(tracker)
    with open_run(check_job(job, Path(folder), loader, options or JobOptions()), loader, force=force) as opened:
        return track_run(opened)


def track(
    source: FrameSource | str | Path,
    masks: Mapping[int, np.ndarray],
    folder: str | Path,
    tracker: Tracker,
    options: JobOptions | None = None,
    *,
    frames: FrameSelection | None = None,
    classes: ObjectClasses | ClassNames | None = None,
    force: bool = False,
) -> TrackResult:
    """Track a video from masks in memory and write outputs while the next frames are read.

    It tracks again on each call; use `run_job` for prompts, mask files, and results that are reused or resumed. If a
    frame is damaged, the source stalls, the disk has no space left, or Ctrl-C stops the run, the outputs are valid up
    to that frame, and `TrackResult` gives the reason.

    Args:
        source: the video; a path or address is opened as `open_frames` does.
        masks: H×W object ids by frame index, of frames to track; later masks may add objects.
        folder: output folder, created if missing.
        tracker: a `Tracker`, which forgets earlier videos first.
        options: outputs and how to track; None: the defaults.
        frames: frames to track; None: all.
        classes: classes and attributes of the objects, or class names by object id, for outputs that store them.
        force: replace the results of an earlier `track`; those of `run_job` are never replaced.

    Raises:
        InputError: no masks, the output folder is not writable, in use, or holds the video or earlier results, a
            removal names an unknown object, or the first frame failed.
        Exception: an internal error, raised after outputs are completed.
    """
    from aotlab.engine.tracking.inputs import convert_mask  # loads PyTorch

    require(masks, "masks: none; pass {0: mask}")
    options, folder = options or JobOptions(), Path(folder)
    if not isinstance(source, FrameSource):
        source = open_frames(source, timeout=options.timeout)
    frames = frames or FrameSelection(source, by_name=options.by_name)
    if not isinstance(classes, ObjectClasses):
        classes = ObjectClasses(parse_class_names(classes or ()))
    annotations = Annotations(source.size)
    for index, mask in masks.items():
        frames.require(index, f"masks: frame {index}")
        with prefix_errors(f"frame {index}"):
            labels = convert_mask(mask, source.size, required=index == min(masks), max_id=MAX_ID)
        annotations.add_mask(index, np.zeros(source.size) if labels is None else labels)
    video = "-" if source.path is None else os.path.abspath(source.path)
    record = JobRecord(folder.name, video, class_names=dict(classes.class_names))
    run = JobRun(record, folder, options, source, frames, annotations)
    with open_run(run, TrackerLoader(tracker), force=force) as opened:
        return track_run(opened, classes=classes)


@dataclass(frozen=True)
class OpenRun:
    """A run whose folder is locked and whose tracker is loaded."""

    run: JobRun
    action: Action
    """Whether earlier results are reused, resumed, or replaced once the first frame is tracked."""
    earlier: JobRecord
    """Record of the earlier results."""
    tracker: TimedTracker | None = None
    """Tracker, reset or restored; None if earlier results are reused."""
    segmenter: PromptSegmenter | None = None
    """Segmenter of the prompts; None without prompts."""


@contextmanager
def open_run(run: JobRun, loader: TrackerLoader, *, force: bool = False) -> Iterator[OpenRun]:
    """Lock the folder of a run, choose the action, and load its tracker; results do not change.

    Raises `InputError` as `choose_action` and `TrackerOptions.load` do.
    """
    with locked_output(run.folder):
        action, earlier = choose_action(run.folder, run.record, force=force)
        if action == "reuse":
            yield OpenRun(run, action, earlier)
            return
        from aotlab.engine.tracking.directions import TimedTracker
        from aotlab.jobs.resume import ResumingTracker
        from aotlab.utils.devices import leave_cores_free  # loads PyTorch

        leave_cores_free(HELPER_THREADS)
        model = loader.load(run.job.overrides if run.job else ())
        segmenter = open_segmenter(run.job.segmenter, model) if run.job and run.prompts else None
        tracker, resumed = TimedTracker(model), False
        if run.is_resumable and run.record.input_digests:
            confidence = not {*run.options.write} <= {*BUILT_IN_OUTPUTS}  # other outputs may store it
            tracker = ResumingTracker(model, run.folder, run.source.frame_name, run.frames.first, confidence=confidence)
            resumed = action == "resume" and tracker.load()
        if not resumed:
            action = "track"  # also if the checkpoint is damaged
            model.reset(run.frames.count)
        yield OpenRun(run, action, earlier, tracker, segmenter)


def open_segmenter(segmenter: tuple[Path, Path] | None, tracker: Tracker) -> PromptSegmenter:
    """Return the segmenter of `Job.segmenter`, else the tracker's own, else the bundled model's."""
    if segmenter is None and tracker.model.prompts is not None:
        return tracker.segmenter
    return load_segmenter(segmenter, device=str(tracker.device))


def track_run(
    opened: OpenRun,
    *,
    classes: ObjectClasses | None = None,
    class_file: Path | None = None,
    stop: StopFlag | None = None,
) -> TrackResult:
    """Track the video of a run, resume it, or return its finished results.

    Args:
        classes: classes of the objects; None: those in the masks.
        class_file: class ids of a list of videos, see `merge_class_ids`.
        stop: flag that stops a list; None: a new one, which Ctrl-C, SIGTERM and SIGHUP set.
    """
    run, tracker = opened.run, opened.tracker
    if tracker is None:
        return _reuse_results(opened)
    from aotlab.jobs.resume import ResumingTracker  # loads PyTorch

    if opened.segmenter is not None:
        run = _add_prompt_masks(run, opened.segmenter)
    classes = classes or ObjectClasses.from_annotations(run.masks, class_file)
    with nullcontext(stop) if stop else stop_flag() as flag:
        result = _track_frames(replace(opened, run=run), tracker, classes, flag)
    if isinstance(tracker, ResumingTracker):
        if result.interrupted or result.error:
            tracker.save_stopped(result.frames)
        resumable = (run.folder / STATE_FILE).is_file()
        result = replace(result, restored_frames=tracker.num_restored, resumable=resumable)
    record = finish_record(run, result)
    # without space on the disk, the error of the run explains more than that of its record
    with suppress(InputError) if result.error else nullcontext():
        if result.frames or not opened.earlier.outputs:  # else earlier results keep their record
            write_job_record(run.folder, record)
    if record.status == "done":
        remove(run.folder / STATE_FILE)
    return result


def _reuse_results(opened: OpenRun) -> TrackResult:
    """Return the finished results in a folder; record the paths of the video and of masks that were moved."""
    run, earlier = opened.run, opened.earlier
    current = replace(earlier, video=run.record.video, masks=run.record.masks)
    if current != earlier:
        write_job_record(run.folder, current)
    files = {name: output.file_name for name, output in run.options.outputs.items()}
    written = {name: run.folder / file for name, file in files.items() if file in earlier.written}
    return TrackResult(earlier.frames, earlier.seconds, written, reused=True)


def _add_prompt_masks(run: JobRun, segmenter: PromptSegmenter) -> JobRun:
    """Return the run with the masks of its prompts."""
    run = copy(run)
    run.masks = replace(run.masks, frames=dict(run.masks.frames))
    for index, prompts in run.prompts.items():
        labels = segmenter(run.source.read(index), prompts)
        require_pixels(labels, prompts)
        run.masks.add_mask(index, labels)
    return run


def _track_frames(opened: OpenRun, tracker: TimedTracker, classes: ObjectClasses, stop: StopFlag) -> TrackResult:
    """Track the frames of a run, and write outputs while the next frames are read."""
    run = opened.run
    source, frames, options = run.source, run.frames, run.options
    outputs = Outputs(options.outputs, run.folder, OutputContext(source, classes, frames.number))

    def write(tracked: TrackedFrame) -> None:
        if not outputs.frames:
            replace_results(run.folder, run.record, opened.earlier, resumed=opened.action == "resume")
            for index in run.prompts:
                write_mask(run.folder / PROMPT_MASKS / f"{source.frame_name(index)}.png", run.masks[index])
        outputs.write(tracked)

    reader = _read_ahead(run, stop)
    bar = progress_bar(frames.count, unit="frame", enabled=options.progress)
    error = _write_frames(stream(reader, partial(_predict, run, tracker, stop), write), outputs, bar)
    if isinstance(error, StallError):
        error = InputError(
            f"{source.name}: no frame for {options.timeout:g} seconds; check the source, or wait longer (timeout)"
        )
    if error is not None and (outputs.frames == 0 or not isinstance(error, InputError)):
        raise error
    is_stopped = stop.is_set() and not error
    return TrackResult(
        outputs.frames,
        tracker.seconds,
        outputs.written,
        tuple(outputs.summaries),
        dropped_frames=reader.dropped,
        damaged_frames=tuple(source.damaged_frames),
        corrupt_packets=source.corrupt_packets,
        cuts=tuple(map(frames.number, outputs.cuts)),
        levels=source.levels,
        signal_number=stop.signal_number if stop.is_set() else None,
        error=None if is_stopped else _describe_problem(error, run, outputs),
    )


def _read_ahead(run: JobRun, stop: StopFlag) -> ReadAhead[tuple[int, np.ndarray]]:
    """Return a reader of the frames to track; in real time, it drops late frames without a mask or removal."""
    images, timeout, required = run.frames.read(run.source), run.options.timeout, {*run.masks, *run.removals}
    if not run.options.realtime:
        return ReadAhead(images, stop=stop, timeout=timeout)
    if not run.source.is_live:
        images = pace_frames(images, run.source)
    return ReadAhead(images, stop=stop, timeout=timeout, must_keep=lambda item: item[0] in required)


def _predict(
    run: JobRun, tracker: TimedTracker, stop: StopFlag, frames: Iterator[tuple[int, np.ndarray]]
) -> Generator[TrackedFrame, None, None]:
    """Yield the frames with their predictions, tracked forward or in both directions."""
    from aotlab.engine.tracking.directions import track_both_directions, track_forward  # loads PyTorch

    max_id = max(run.objects, default=0)
    if run.options.both_directions:
        results = track_both_directions(tracker, frames, run.masks, run.removals, run.folder, stop)
    else:
        results = track_forward(tracker, frames, run.masks, run.removals)
    with closing(results):
        for index, frame, prediction in results:
            annotated = frozenset[int]()
            if index in run.masks:
                annotated = frozenset(np.unique(run.masks[index]).tolist()) - {0}
            yield TrackedFrame(index, frame, prediction, run.source.time(index), max_id, annotated)


def _write_frames(tracked: Generator[TrackedFrame, None, None], outputs: Outputs, bar: tqdm) -> Exception | None:
    """Write all frames and complete the outputs; return the first error. A second Ctrl-C drops incomplete outputs."""
    failure: Exception | None = None
    try:
        try:
            with bar, closing(tracked):
                for _ in tracked:
                    bar.update()
        except Exception as error:  # outputs are completed first
            failure = error
        unfinished = outputs.finish()
    except KeyboardInterrupt:
        outputs.discard()
        raise
    return failure or unfinished


def pace_frames(frames: Iterator[tuple[int, np.ndarray]], source: FrameSource) -> Iterator[tuple[int, np.ndarray]]:
    """Yield index and image, at the frame rate of a source that is not live."""
    start: float | None = None
    for index, frame in frames:
        due = float(source.time(index))
        start = time.monotonic() - due if start is None else start
        time.sleep(max(0.0, start + due - time.monotonic()))
        yield index, frame


def _describe_problem(error: Exception | None, run: JobRun, outputs: Outputs) -> str | None:
    """Return the message about an early stop, or about masks and removals on missing frames; None without either."""
    if error is not None:
        missing = ", ".join(outputs.incomplete)
        return f"{error} (not completed: {missing})" if missing else str(error)
    name, num_frames = run.source.name, outputs.last + 1
    if not num_frames:
        return f"{name}: ended before the first frame to track; give an earlier start"
    if unused := [index for index in (*run.masks, *run.removals) if index >= num_frames]:
        return (
            f"{name}: the mask or removal of frame {min(unused)} was not used: the video has {num_frames} frames; give "
            f"a frame from 0 to {num_frames - 1}"
        )
    return None


def finish_record(run: JobRun, result: TrackResult) -> JobRecord:
    """Return the record of a run that has ended."""
    record, last = run.record, run.record.last_frame
    if last is None:  # a stream, whose length is known now
        last = record.first_frame + result.frames + result.dropped_frames - 1
    written = {path.name for path in result.written.values() if has_content(path)}
    return replace(
        record, frames=result.frames, seconds=round(result.seconds, 3), status=result.status, error=result.error,
        written=sorted(written | ({PROMPT_MASKS} & record.outputs.keys())), last_frame=last,
    )  # fmt: skip
