"""Tracking of objects through a video with streamed inputs and outputs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from aotlab.engine.prediction import Prediction
from aotlab.engine.streaming import ReadAhead, Stalled, stream
from aotlab.engine.tracker import Tracker
from aotlab.engine.transfers import OneBehind
from aotlab.engine.video.directions import Answered, both_directions
from aotlab.engine.video.options import TrackOptions, TrackResult
from aotlab.engine.video.outputs import OUTPUTS, Outputs, Tracked, open_outputs
from aotlab.engine.video.resume import Progress
from aotlab.media.video import FrameSource
from aotlab.utils.errors import InputError
from aotlab.utils.files import require_writable
from aotlab.utils.processes import stop_flag

Numbered = tuple[int, np.ndarray]
"""index and image of a frame"""
DEFAULTS = TrackOptions()


def track(
    tracker: Tracker,
    source: FrameSource,
    masks: Mapping[int, np.ndarray],
    output: Path,
    options: TrackOptions = DEFAULTS,
    saved: Progress | None = None,
) -> TrackResult:
    """Track a video and write outputs while the next frames are read.

    A bad frame, stall, full disk or Ctrl-C leaves valid outputs; the result holds the reason.

    Args:
        tracker: needs ``reset`` for both directions and ``forget`` for removals.
        masks: H×W object ids by frame index; later masks may add objects.
        output: folder, created if missing.
        saved: progress to resume and to save; requires a `Tracker`, which it has restored, and one direction.

    Raises:
        InputError: the output folder is not writable, or the first frame failed.
        Exception: an internal error, raised after outputs are completed.
    """
    opened = open_outputs(options.write, require_writable(output), source, options.class_names)
    outputs = Outputs(opened, source, None if saved is None else saved.written)
    timed, removals = Timed(tracker), removals_by_frame(options.removals, masks, source)
    with stop_flag() as stop:
        reader = _read_ahead(source, stop, options, {*masks, *removals})
        follow: Callable[..., Iterator[Answered]] = partial(forward, removals=removals, saved=saved)
        if options.both_directions:
            follow = partial(both_directions, folder=output, stop=stop)
        tracked = partial(_tracked, partial(follow, timed, masks=masks), source)
        problem = _run(stream(reader, tracked, outputs.write), outputs, source, options)
    unused = None if stop.is_set() else _unused(source, masks, removals, outputs.last + 1)
    if saved is not None and (stop.is_set() or problem is not None):
        saved.stopped(outputs.last, timed)
    return TrackResult(
        outputs.frames, timed.seconds, outputs.written, dropped=reader.dropped, damaged=tuple(source.damaged),
        restored=0 if saved is None else max(0, saved.last + 1 - options.frames.first), lost=source.lost,
        interrupted=stop.is_set(), error=_sentence(problem, set(options.write) - set(outputs.written)) or unused,
    )  # fmt: skip


def _read_ahead(
    source: FrameSource, stop: threading.Event, options: TrackOptions, kept: Container[int]
) -> ReadAhead[Numbered]:
    """Return the frames of a source by index; in real time all but ``kept`` ones may be dropped."""
    frames = options.frames.frames(source)
    if not options.realtime:
        return ReadAhead(frames, stop=stop, timeout=options.timeout)
    return ReadAhead(
        in_real_time(frames, source), stop=stop, timeout=options.timeout, keep=lambda item: item[0] in kept
    )


def forward(
    tracker: Timed,
    frames: Iterator[Numbered],
    masks: Mapping[int, np.ndarray],
    removals: Mapping[int, Sequence[int]],
    saved: Progress | None = None,
) -> Iterator[Answered]:
    """Yield index, image and prediction of every frame in order; ``removals``: object ids by frame."""
    for index, frame in frames:
        if saved is not None and index <= saved.last:
            yield index, frame, saved.restore(index)
            continue
        for object_id in removals.get(index, ()):
            tracker.forget(object_id)
        prediction = tracker.step(frame, masks.get(index))
        if saved is not None:
            saved.tracked(index, tracker)
        yield index, frame, prediction


def removals_by_frame(
    removals: Iterable[tuple[int, int]], masks: Mapping[int, np.ndarray], source: FrameSource
) -> dict[int, list[int]]:
    """Return the object ids to remove by frame.

    Raises:
        InputError: the frame is after the end of the video, or no earlier mask has the object.
    """
    found: dict[int, list[int]] = {}
    for frame, object_id in dict.fromkeys(removals):
        if source.length is not None and frame >= source.length:
            raise InputError(
                f"remove {frame}:{object_id}: the video holds {source.length} frames; give an earlier frame"
            )
        if not any(index < frame and (masks[index] == object_id).any() for index in masks):
            raise InputError(
                f"remove {frame}:{object_id}: no mask of an earlier frame has object {object_id}; give another frame "
                "or id"
            )
        found.setdefault(frame, []).append(object_id)
    return found


def in_real_time(frames: Iterator[Numbered], source: FrameSource) -> Iterator[Numbered]:
    """Yield index and image, at the source's frame rate unless it is live."""
    start: float | None = None
    for index, frame in frames:
        if not source.live:
            due = float(source.time(index))
            start = time.monotonic() - due if start is None else start
            time.sleep(max(0.0, start + due - time.monotonic()))
        yield index, frame


class Timed:
    """Tracker that measures the time of `step`; all else is the tracker's."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker, self._labels = tracker, OneBehind(getattr(tracker, "device", None))
        self.seconds = 0.0

    def step(self, frame: np.ndarray, mask: np.ndarray | None = None) -> Prediction:
        """Step the tracker and wait for the labels that are due."""
        start = time.perf_counter()
        prediction = self._tracker.step(frame, mask)
        self._labels.wait(prediction)
        self.seconds += time.perf_counter() - start
        return prediction

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tracker, name)


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
            total = options.frames.count(source.length)
            bar = tqdm(total=total, unit="frame", disable=None if options.progress else True)
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
    if not frames:
        return f"{source.name}: ended before the first frame to track; give an earlier start"
    for name, indices in (("mask", masks), ("removal", removals)):
        late = [index for index in indices if index >= frames]
        if late:
            return (
                f"{source.name}: the {name} of frame {min(late)} was not used, the video holds {frames} frames; "
                f"give a frame from 0 to {frames - 1}"
            )
    return None
