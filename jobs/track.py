"""Tracking of objects through a video with streamed inputs and outputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aotlab.jobs.classes import ObjectClasses
from aotlab.jobs.inputs import FrameSelection
from aotlab.jobs.job import Job, JobOptions
from aotlab.jobs.outputs import OutputContext, Outputs, TrackedFrame
from aotlab.jobs.results import Replacement
from aotlab.media.frames import FrameSource
from aotlab.media.job_record import JobRecord
from aotlab.media.levels import Levels
from aotlab.media.prompt import Prompt
from aotlab.media.regions import Annotations
from aotlab.utils.errors import InputError
from aotlab.utils.processes import StopFlag, stop_flag
from aotlab.utils.progress import progress_bar
from aotlab.utils.streaming import ReadAhead, StallError, stream

if TYPE_CHECKING:
    from tqdm import tqdm

    from aotlab.jobs.directions import FrameResult, TimedTracker

    TrackVideo = Callable[..., Generator[FrameResult, None, None]]


@dataclass(frozen=True)
class JobRun:
    """The checked inputs of a job and the folder of its results."""

    job: Job
    folder: Path
    """Folder that receives the results."""
    options: JobOptions
    force: bool
    """Whether results of other inputs are replaced."""
    record: JobRecord
    """Record to write; `execute_run` adds the results."""
    source: FrameSource
    frames: FrameSelection
    masks: Annotations
    """Masks from files or arrays, with class names."""
    prompts: Mapping[int, Mapping[int, Prompt]]
    """Prompts by frame index and object id, with boxes cropped to the frame."""
    removals: Mapping[int, Sequence[int]]
    """Ids of the objects to remove, by frame index."""
    objects: set[int]
    """Ids of all objects to track."""

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


@dataclass(frozen=True)
class TrackResult:
    """What `track` or `run_job` has written, and why it stopped early."""

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
    def frames_per_second(self) -> float:
        """Frames per second of the tracker only; 0 without frames."""
        return (self.frames - self.restored_frames) / self.seconds if self.seconds > 0 else 0.0


def track_frames(
    run: JobRun,
    tracker: TimedTracker,
    classes: ObjectClasses,
    replacement: Replacement,
    stop: StopFlag | None = None,
) -> TrackResult:
    """Track a video with a tracker that was reset or restored, and write outputs while the next frames are read.

    ``stop``: flag that stops the run; None: a new one, which Ctrl-C, SIGTERM and SIGHUP set.
    """
    from aotlab.jobs.directions import track_both_directions, track_forward  # loads PyTorch

    source, frames, masks, removals, options = run.source, run.frames, run.masks, run.removals, run.options
    ids = {index: frozenset(np.unique(mask).tolist()) - {0} for index, mask in masks.items()}
    max_id = max(frozenset[int]().union(*ids.values()), default=0)
    outputs = Outputs(options.outputs, run.folder, OutputContext(source, classes, frames.number))
    with nullcontext(stop) if stop else stop_flag() as stop:

        def track_items(items: Iterator[tuple[int, np.ndarray]]) -> Generator[TrackedFrame, None, None]:
            both = partial(track_both_directions, folder=run.folder, stop=stop)
            track_video: TrackVideo = both if options.both_directions else track_forward
            with closing(track_video(tracker, items, masks, removals)) as predictions:
                for position, (index, frame, prediction) in enumerate(predictions):
                    if position == 0:
                        replacement.begin()
                    annotated = ids.get(index, frozenset())
                    yield TrackedFrame(index, frame, prediction, source.time(index), max_id, annotated)

        def write(tracked: TrackedFrame) -> None:
            outputs.write(tracked)
            if outputs.frames == 1:
                replacement.commit()

        images, required = frames.read(source), {*masks, *removals}
        reader = ReadAhead(
            pace_frames(images, source) if options.realtime else images,
            stop=stop,
            timeout=options.timeout,
            must_keep=(lambda item: item[0] in required) if options.realtime else None,
        )
        bar = progress_bar(frames.count, unit="frame", enabled=options.progress)
        error = _write_frames(stream(reader, track_items, write), outputs, bar)
    if isinstance(error, StallError):
        remedy = "check the source, or wait longer (timeout)"
        error = InputError(f"{source.name}: no frame for {options.timeout:g} seconds; {remedy}")
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


def _write_frames(
    tracked: Generator[TrackedFrame, None, None], outputs: Outputs, bar: tqdm
) -> Exception | None:
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


def group_removals(
    removals: Iterable[tuple[int, int]], ids: Mapping[int, Collection[int]], frames: FrameSelection
) -> dict[int, list[int]]:
    """Return the object ids to remove by frame index, given pairs of frame number and object id.

    Raises `InputError` if a frame is not tracked, or no mask has the object before it and since its last removal.
    ``ids``: ids of the objects with a mask, by frame index.
    """
    indices = {
        (number, object_id): frames.index(number, f"remove {number}:{object_id}")
        for number, object_id in removals
    }
    ids_by_frame: dict[int, list[int]] = {}
    last_removals: dict[int, int] = {}
    for (number, object_id), removed in sorted(indices.items(), key=lambda item: item[1]):
        last = last_removals.get(object_id, 0)
        if not any(last <= index < removed and object_id in ids[index] for index in ids):
            since = f" since frame {frames.number(last)}, where it is removed" if last else ""
            problem = f"no mask of an earlier frame has object {object_id}{since}; give another frame or id"
            raise InputError(f"remove {number}:{object_id}: {problem}")
        last_removals[object_id] = removed
        ids_by_frame.setdefault(removed, []).append(object_id)
    return ids_by_frame


def pace_frames(
    frames: Iterator[tuple[int, np.ndarray]], source: FrameSource
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield index and image, at the source's frame rate unless it is live."""
    start: float | None = None
    for index, frame in frames:
        if not source.is_live:
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
        remedy = f"the video has {num_frames} frames; give a frame from 0 to {num_frames - 1}"
        return f"{name}: the mask or removal of frame {min(unused)} was not used: {remedy}"
    return None
