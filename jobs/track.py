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

from aotlab.jobs.inputs import FrameSelection
from aotlab.jobs.outputs import Output, OutputContext, Outputs, TrackedFrame, find_output, list_outputs
from aotlab.jobs.results import Replacement
from aotlab.media.frames import FrameSource
from aotlab.media.high_bit_depth import Levels
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import reading
from aotlab.utils.numbers import POSITIVE
from aotlab.utils.processes import StopFlag, stop_flag
from aotlab.utils.progress import progress_bar
from aotlab.utils.streaming import ReadAhead, StallError, stream
from aotlab.utils.text import shorten

if TYPE_CHECKING:
    from tqdm import tqdm

    from aotlab.jobs.directions import FrameResult, TimedTracker

    TrackVideo = Callable[..., Generator[FrameResult, None, None]]


@dataclass(frozen=True)
class JobOptions:
    """Options of `track` and `run_job`."""

    write: tuple[str, ...] = ("masks", "overlay")
    """outputs to write, names of `list_outputs`; may be one name"""
    both_directions: bool = False
    """track forward and backward from every annotated frame and merge the predictions"""
    realtime: bool = False
    """drop frames to keep up with the source"""
    timeout: float = 30.0
    """seconds without a frame after which tracking stops"""
    removals: tuple[tuple[int, int], ...] = ()
    """pairs of frame number and object id; tracking of the object stops at the frame"""
    by_name: bool = False
    """frame numbers are those in the file names of an image folder, not counted from 0"""
    progress: bool = True
    """show a progress bar if stderr is a terminal"""

    def __post_init__(self) -> None:
        with reading("write and removals", "give names of outputs, and pairs of frame number and object id"):
            names = (self.write,) if isinstance(self.write, str) else tuple(self.write)
            removals = tuple((int(frame), int(object_id)) for frame, object_id in self.removals)
        vars(self).update(write=names, removals=removals)  # the class is frozen
        require(bool(self.write), f"write: no output; choose from {', '.join(list_outputs())}")
        _ = self.outputs  # raises for an unknown name
        require(
            self.timeout in POSITIVE,
            f"timeout: expected seconds {POSITIVE}, got {shorten(repr(self.timeout))}",
        )
        require(
            not (self.both_directions and self.realtime),
            "tracking in both directions (--both-directions): cannot be combined with realtime (--realtime), as later "
            "frames are needed; give one of them",
        )

    @property
    def outputs(self) -> dict[str, type[Output]]:
        """Classes of the outputs to write, by name."""
        return {name: find_output(name) for name in self.write}


@dataclass(frozen=True)
class TrackResult:
    """Results of `track` and `run_job`."""

    frames: int
    """number of frames written"""
    seconds: float
    """seconds spent in the tracker, without reading and writing"""
    written: dict[str, Path] = field(default_factory=dict)
    """completed outputs by name; after an early stop they hold the frames until then"""
    summaries: tuple[str, ...] = ()
    """summary lines, of `Output.summary`"""
    reused: bool = False
    """whether nothing was tracked, as an earlier run has finished"""
    restored_frames: int = 0
    """number of written frames that an earlier, interrupted run had tracked"""
    dropped_frames: int = 0
    """number of frames dropped to keep up"""
    damaged_frames: tuple[int, ...] = ()
    """indices of damaged frames concealed by the decoder"""
    corrupt_packets: int = 0
    """number of undecodable packets of a stream"""
    cuts: tuple[int, ...] = ()
    """numbers of frames that follow a cut, if ``rules.cuts`` is set"""
    levels: Levels | None = None
    """black and white levels of images that are not shown as stored"""
    signal_number: int | None = None
    """number of the signal that stopped it, if one did"""
    resumable: bool = False
    """whether another run with the same inputs resumes after an early stop"""
    error: str | None = None
    """reason for an early stop or missing outputs; None on success"""

    @property
    def interrupted(self) -> bool:
        """Whether a signal stopped it."""
        return self.signal_number is not None

    @property
    def frames_per_second(self) -> float:
        """Frames per second of the tracker only; 0 without frames."""
        return (self.frames - self.restored_frames) / self.seconds if self.seconds > 0 else 0.0


def track_frames(
    tracker: TimedTracker,
    context: OutputContext,
    frames: FrameSelection,
    masks: Mapping[int, np.ndarray],
    removals: Mapping[int, Sequence[int]],
    folder: Path,
    options: JobOptions,
    replacement: Replacement,
    stop: StopFlag | None = None,
) -> TrackResult:
    """Track a video and write outputs while the next frames are read.

    Args:
        tracker: a tracker that was reset, or restored.
        context: the video.
        frames: frames to track.
        masks: H×W object ids by index of such a frame.
        removals: ids of the objects to remove, by frame index, of `group_removals`.
        replacement: of earlier results; begins once the first frame is tracked, and ends once it is written.
        stop: flag that stops the run; None: one that Ctrl-C, SIGTERM and SIGHUP set.
    """
    from aotlab.jobs.directions import track_both_directions, track_forward  # loads PyTorch

    source = context.source
    ids = {index: frozenset(np.unique(mask).tolist()) - {0} for index, mask in masks.items()}
    max_id = max(frozenset[int]().union(*ids.values()), default=0)
    outputs = Outputs(options.outputs, folder, context)
    with nullcontext(stop) if stop else stop_flag() as stop:

        def track_items(items: Iterator[tuple[int, np.ndarray]]) -> Generator[TrackedFrame, None, None]:
            both = partial(track_both_directions, folder=folder, stop=stop)
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
    problem = None if is_stopped else describe_problem(error, source, {*masks}, removals, outputs)
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
        error=problem,
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
    """Return the object ids to remove by frame index.

    Args:
        removals: pairs of frame number and object id.
        ids: ids of the objects with a mask, by frame index.

    Raises:
        InputError: the frame is not tracked, or no mask has the object before it and since its last removal.
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
            raise InputError(
                f"remove {number}:{object_id}: no mask of an earlier frame has object {object_id}{since}; give another "
                "frame or id"
            )
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


def describe_problem(
    error: Exception | None,
    source: FrameSource,
    masks: Iterable[int],
    removals: Iterable[int],
    outputs: Outputs,
) -> str | None:
    """Return the message about an early stop, or about masks and removals on missing frames; None without either."""
    if error is not None:
        missing = ", ".join(outputs.incomplete)
        return f"{error} (not completed: {missing})" if missing else str(error)
    num_frames = outputs.last + 1
    if not num_frames:
        return f"{source.name}: ended before the first frame to track; give an earlier start"
    if unused := [index for index in (*masks, *removals) if index >= num_frames]:
        return (
            f"{source.name}: the mask or removal of frame {min(unused)} was not used: the video has {num_frames} "
            f"frames; give a frame from 0 to {num_frames - 1}"
        )
    return None
