"""Track objects through a video: frames stream in, masks and other results stream out."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from aotlab.engine.streaming import ReadAhead, Stalled, stream
from aotlab.engine.video.directions import Answered, both_directions
from aotlab.engine.video.outputs import OUTPUTS, Outputs, Tracked, open_outputs
from aotlab.media.video import FrameSource
from aotlab.utils.errors import InputError
from aotlab.utils.files import require_writable
from aotlab.utils.signals import stop_flag

if TYPE_CHECKING:
    from aotlab.engine.interface import FrameTracker
    from aotlab.engine.prediction import Prediction

Numbered = tuple[int, np.ndarray]
"""a frame's number and its picture"""


@dataclass(frozen=True)
class TrackOptions:
    """How `track` goes about it."""

    write: tuple[str, ...] = ("masks", "overlay")
    """what to write: names of `OUTPUTS`"""
    both_directions: bool = False
    """track from every annotated frame forward and backward, and merge what meets in between"""
    realtime: bool = False
    """skip frames that there is no time for"""
    timeout: float = 30.0
    """seconds without a frame after which the source counts as stalled"""
    removals: tuple[tuple[int, int], ...] = ()
    """(frame, object id): from that frame on the object is tracked no longer"""
    labels: Mapping[int, str] = field(default_factory=dict)
    """classes of objects by id, for outputs that state them"""
    progress: bool = True
    """show a bar where stderr is a terminal"""

    def __post_init__(self) -> None:
        unknown = [name for name in self.write if name not in OUTPUTS]
        if unknown or not self.write:
            raise InputError(f"write {','.join(self.write)}: give some of {', '.join(OUTPUTS)}")
        if not 0 < self.timeout < math.inf:
            raise InputError(f"timeout {self.timeout:g}: give a number of seconds above 0")
        if self.realtime and self.both_directions:
            raise InputError("realtime: cannot go with both_directions, which needs later frames; give one")
        if self.removals and self.both_directions:
            raise InputError(
                "remove: cannot go with both_directions, where each mask shows all objects of its frame; "
                "give a mask without the object"
            )


DEFAULTS = TrackOptions()


@dataclass(frozen=True)
class TrackReport:
    """What a run of `track` did."""

    frames: int
    """frames whose results are written"""
    seconds: float
    """time spent in the tracker, without reading and writing"""
    written: dict[str, Path] = field(default_factory=dict)
    """complete results by their name in `OUTPUTS`; on an early end they hold the frames until then"""
    dropped: int = 0
    """frames that there was no time for"""
    damaged: tuple[int, ...] = ()
    """frames that were damaged, and that the decoder filled in from their neighbours"""
    lost: int = 0
    """pieces of a stream that did not decode"""
    interrupted: bool = False
    """whether Ctrl-C or SIGTERM ended it"""
    error: str | None = None
    """the sentence that says why it ended early or what was left out; None if all went well"""

    @property
    def masks(self) -> Path | None:
        """Folder of the masks; None where none were asked for."""
        return self.written.get("masks")

    @property
    def overlay(self) -> Path | None:
        """The overlay video; None where there is none."""
        return self.written.get("overlay")

    @property
    def frames_per_second(self) -> float:
        """Speed of the tracker alone; 0 where it did nothing."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0


def track(
    tracker: FrameTracker,
    source: FrameSource,
    masks: Mapping[int, np.ndarray],
    output: Path,
    options: TrackOptions = DEFAULTS,
) -> TrackReport:
    """Run the tracker over a video and write what it finds, while the next frames are read.

    Whatever ends it early (a bad frame, a stall, a full disk, Ctrl-C), what was done is complete; the report says why.

    Args:
        tracker: for both directions it also needs ``reset``, for removals ``forget``.
        source: the frames.
        masks: H×W object ids by frame index; one at a later frame adds objects.
        output: folder; made if it is missing.

    Raises:
        InputError: the output folder cannot be written, or not even the first frame can be done.
        Exception: a crash, after what was done was completed.
    """
    outputs = Outputs(open_outputs(options.write, require_writable(output), source, options.labels), source)
    timed, removals = Timed(tracker), removals_by_frame(options.removals, masks, source)
    with stop_flag() as stop:
        reader = _read_ahead(source, stop, options, {*masks, *removals})
        follow = _follower(options, removals, output, stop)
        tracked = partial(_tracked, partial(follow, timed, masks=masks), source)
        problem = _run(stream(reader, tracked, outputs.write), outputs, source, options)
    unused = None if stop.is_set() else _unused(source, masks, removals, outputs.last + 1)
    return TrackReport(
        outputs.frames,
        timed.seconds,
        outputs.written,
        dropped=reader.dropped,
        damaged=tuple(source.damaged),
        lost=source.lost,
        interrupted=stop.is_set(),
        error=_sentence(problem, set(options.write) - set(outputs.written)) or unused,
    )


def _follower(
    options: TrackOptions, removals: Mapping[int, Sequence[int]], folder: Path, stop: threading.Event
) -> Callable[..., Iterator[Answered]]:
    """The function that tracks frames, in one or both directions."""
    if options.both_directions:
        return partial(both_directions, folder=folder, stop=stop)
    return partial(forward, removals=removals)


def _read_ahead(
    source: FrameSource, stop: threading.Event, options: TrackOptions, kept: Container[int]
) -> ReadAhead[Numbered]:
    """The frames of a source by number; in real time all but the ``kept`` ones may be dropped."""
    if not options.realtime:
        return ReadAhead(enumerate(source), stop=stop, patience=options.timeout)
    return ReadAhead(
        in_real_time(source), stop=stop, patience=options.timeout, keep=lambda item: item[0] in kept
    )


def forward(
    tracker: Timed,
    frames: Iterator[Numbered],
    masks: Mapping[int, np.ndarray],
    removals: Mapping[int, Sequence[int]],
) -> Iterator[Answered]:
    """Yield number, picture and prediction of every frame, in order; ``removals`` are object ids by frame."""
    for index, frame in frames:
        for number in removals.get(index, ()):
            tracker.forget(number)
        yield index, frame, tracker.step(frame, masks.get(index))


def removals_by_frame(
    removals: Iterable[tuple[int, int]], masks: Mapping[int, np.ndarray], source: FrameSource
) -> dict[int, list[int]]:
    """Ids of the objects to remove, by frame.

    Raises:
        InputError: the video is known to end before the frame, or no mask of an earlier frame has the object.
    """
    found: dict[int, list[int]] = {}
    for frame, number in dict.fromkeys(removals):
        if source.length is not None and frame >= source.length:
            raise InputError(
                f"remove {frame}:{number}: the video holds {source.length} frames; give an earlier frame"
            )
        if not any(index < frame and (masks[index] == number).any() for index in masks):
            raise InputError(
                f"remove {frame}:{number}: no mask of an earlier frame has object {number}; give another frame or id"
            )
        found.setdefault(frame, []).append(number)
    return found


def in_real_time(source: FrameSource) -> Iterator[Numbered]:
    """Yield number and picture; frames of a source that is not live come at the source's own rate."""
    start = time.monotonic()
    for index, frame in enumerate(source):
        if not source.live:
            time.sleep(max(0.0, start + float(source.time(index)) - time.monotonic()))
        yield index, frame


class Timed:
    """A tracker with a clock that runs while it works."""

    def __init__(self, tracker: FrameTracker) -> None:
        self._tracker = tracker
        self.seconds = 0.0

    def step(self, frame: np.ndarray, mask: np.ndarray | None = None) -> Prediction:
        """Step the tracker, and wait for the labels, which its device may still be busy with."""
        start = time.perf_counter()
        prediction = self._tracker.step(frame, mask)
        np.asarray(prediction.labels)
        self.seconds += time.perf_counter() - start
        return prediction

    def forget(self, number: int) -> None:
        """Track an object no longer."""
        self._tracker.forget(number)

    def reset(self, length: int | None = None) -> None:
        """Reset the tracker."""
        self._tracker.reset(length)


def _tracked(
    track: Callable[[Iterator[Numbered]], Iterator[Answered]], source: FrameSource, frames: Iterator[Numbered]
) -> Generator[Tracked, None, None]:
    """Yield what the outputs take of the tracked frames."""
    for index, frame, prediction in track(frames):
        yield Tracked(index, frame, prediction, source.time(index))


def _run(
    results: Generator[Tracked, None, None], outputs: Outputs, source: FrameSource, options: TrackOptions
) -> Exception | None:
    """Run to the last frame, or as far as possible, and complete the outputs; returns what went wrong.

    Raises:
        Exception: a crash, or not even one frame was done.
    """
    problem: Exception | None = None
    try:
        try:
            bar = tqdm(total=source.length, unit="frame", disable=None if options.progress else True)
            with bar, closing(results):
                for _ in results:
                    bar.update()
        except Stalled:
            problem = InputError(
                f"{source.name}: no frame for {options.timeout:g} seconds; "
                "check the source, or wait longer (timeout)"
            )
        except Exception as error:  # raised or reported below, once what was done is complete
            problem = error
        unfinished = outputs.finish()
    except KeyboardInterrupt:  # the second one
        outputs.drop()
        raise
    problem = problem or unfinished
    if problem is not None and (outputs.frames == 0 or not isinstance(problem, InputError)):
        raise problem
    return problem


def _sentence(problem: BaseException | None, missing: set[str]) -> str | None:
    """What went wrong, if anything did, and which results could not be completed because of it."""
    if problem is None:
        return None
    left_out = ", ".join(OUTPUTS[name][0] for name in OUTPUTS if name in missing)
    return f"{problem} (not completed: {left_out})" if left_out else str(problem)


def _unused(source: FrameSource, masks: Iterable[int], removals: Iterable[int], frames: int) -> str | None:
    """The sentence about masks and removals on frames that the video does not have, or None."""
    for name, indices in (("mask", masks), ("removal", removals)):
        late = [index for index in indices if index >= frames]
        if late:
            return (
                f"{source.name}: the {name} of frame {min(late)} was not used, the video holds {frames} frames; "
                f"give a frame from 0 to {frames - 1}"
            )
    return None
