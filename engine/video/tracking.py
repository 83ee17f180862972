"""Tracking of objects through a video with streamed inputs and outputs."""

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
from aotlab.engine.transfers import OneBehind
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
"""index and image of a frame"""


@dataclass(frozen=True)
class TrackOptions:
    """Options of `track`."""

    write: tuple[str, ...] = ("masks", "overlay")
    """outputs to write, names of `OUTPUTS`"""
    both_directions: bool = False
    """track forward and backward from every annotated frame and merge the predictions"""
    realtime: bool = False
    """drop frames to keep up with the source"""
    timeout: float = 30.0
    """timeout in seconds without a frame"""
    removals: tuple[tuple[int, int], ...] = ()
    """(frame, object id) pairs: stop tracking the object at that frame"""
    class_names: Mapping[int, str] = field(default_factory=dict)
    """class names by object id, for outputs that store them"""
    progress: bool = True
    """show a progress bar if stderr is a terminal"""

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
    """Results of `track`."""

    frames: int
    """number of frames written"""
    seconds: float
    """seconds spent in the tracker, without reading and writing"""
    written: dict[str, Path] = field(default_factory=dict)
    """completed outputs by name in `OUTPUTS`; after an early stop they hold the frames until then"""
    dropped: int = 0
    """number of frames dropped to keep up"""
    damaged: tuple[int, ...] = ()
    """number of damaged frames concealed by the decoder"""
    lost: int = 0
    """number of undecodable packets of a stream"""
    interrupted: bool = False
    """whether Ctrl-C or SIGTERM stopped it"""
    error: str | None = None
    """reason for an early stop or missing outputs; None on success"""

    @property
    def masks(self) -> Path | None:
        """Folder of the masks, or None."""
        return self.written.get("masks")

    @property
    def overlay(self) -> Path | None:
        """Overlay video, or None."""
        return self.written.get("overlay")

    @property
    def frames_per_second(self) -> float:
        """Frames per second of the tracker only; 0 without frames."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0


def track(
    tracker: FrameTracker,
    source: FrameSource,
    masks: Mapping[int, np.ndarray],
    output: Path,
    options: TrackOptions = DEFAULTS,
) -> TrackReport:
    """Track a video and write outputs while the next frames are read.

    An early stop (bad frame, stall, full disk, Ctrl-C) leaves valid outputs; the result holds the reason.

    Args:
        tracker: needs ``reset`` for both directions and ``forget`` for removals.
        source: source of frames.
        masks: H×W object ids by frame index; later masks may add objects.
        output: folder, created if missing.

    Raises:
        InputError: the output folder is not writable, or the first frame failed.
        Exception: an internal error, raised after outputs are completed.
    """
    opened = open_outputs(options.write, require_writable(output), source, options.class_names)
    outputs = Outputs(opened, source)
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
    """Return the function that tracks frames, in one or both directions."""
    if options.both_directions:
        return partial(both_directions, folder=folder, stop=stop)
    return partial(forward, removals=removals)


def _read_ahead(
    source: FrameSource, stop: threading.Event, options: TrackOptions, kept: Container[int]
) -> ReadAhead[Numbered]:
    """Return the frames of a source by index; in real time all but ``kept`` ones may be dropped."""
    if not options.realtime:
        return ReadAhead(enumerate(source), stop=stop, timeout=options.timeout)
    return ReadAhead(
        in_real_time(source), stop=stop, timeout=options.timeout, keep=lambda item: item[0] in kept
    )


def forward(
    tracker: Timed,
    frames: Iterator[Numbered],
    masks: Mapping[int, np.ndarray],
    removals: Mapping[int, Sequence[int]],
) -> Iterator[Answered]:
    """Yield index, image and prediction of every frame in order; ``removals``: object ids by frame."""
    for index, frame in frames:
        for number in removals.get(index, ()):
            tracker.forget(number)
        yield index, frame, tracker.step(frame, masks.get(index))


def removals_by_frame(
    removals: Iterable[tuple[int, int]], masks: Mapping[int, np.ndarray], source: FrameSource
) -> dict[int, list[int]]:
    """Return the object ids to remove by frame.

    Raises:
        InputError: the frame is after the end of the video, or no earlier mask has the object.
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
    """Yield index and image, at the source's frame rate unless it is live."""
    start = time.monotonic()
    for index, frame in enumerate(source):
        if not source.live:
            time.sleep(max(0.0, start + float(source.time(index)) - time.monotonic()))
        yield index, frame


class Timed:
    """Tracker that measures its time."""

    def __init__(self, tracker: FrameTracker) -> None:
        self._tracker, self._labels = tracker, OneBehind(getattr(tracker, "device", None))
        self.seconds = 0.0

    def step(self, frame: np.ndarray, mask: np.ndarray | None = None) -> Prediction:
        """Step the tracker and wait for the labels that are due."""
        start = time.perf_counter()
        prediction = self._tracker.step(frame, mask)
        self._labels.wait(prediction)
        self.seconds += time.perf_counter() - start
        return prediction

    def forget(self, object_id: int) -> None:
        """Stop tracking an object."""
        self._tracker.forget(object_id)

    def reset(self, length: int | None = None) -> None:
        """Reset the tracker."""
        self._tracker.reset(length)


def _tracked(
    track: Callable[[Iterator[Numbered]], Iterator[Answered]], source: FrameSource, frames: Iterator[Numbered]
) -> Generator[Tracked, None, None]:
    """Yield tracked frames for the outputs."""
    for index, frame, prediction in track(frames):
        yield Tracked(index, frame, prediction, source.time(index))


def _run(
    results: Generator[Tracked, None, None], outputs: Outputs, source: FrameSource, options: TrackOptions
) -> Exception | None:
    """Run to the last frame or the first failure, and complete the outputs; return what went wrong.

    Raises:
        Exception: an internal error, or the first frame failed.
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
        except Exception as error:  # raised or reported below, once outputs are complete
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
    """Describe what went wrong, if anything, and which outputs are incomplete."""
    if problem is None:
        return None
    left_out = ", ".join(OUTPUTS[name][0] for name in OUTPUTS if name in missing)
    return f"{problem} (not completed: {left_out})" if left_out else str(problem)


def _unused(source: FrameSource, masks: Iterable[int], removals: Iterable[int], frames: int) -> str | None:
    """Return the sentence about masks and removals on missing frames, or None."""
    for name, indices in (("mask", masks), ("removal", removals)):
        late = [index for index in indices if index >= frames]
        if late:
            return (
                f"{source.name}: the {name} of frame {min(late)} was not used, the video holds {frames} frames; "
                f"give a frame from 0 to {frames - 1}"
            )
    return None
