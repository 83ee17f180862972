"""Track objects through a video: frames stream in, masks and other results stream out."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from aotlab.dataloaders.video import FrameSource
from aotlab.engine.video.directions import Answered, both_directions
from aotlab.engine.video.outputs import OUTPUTS, Output, Tracked, open_outputs
from aotlab.engine.video.pipeline import ReadAhead, WriteBehind
from aotlab.utils.errors import InputError
from aotlab.utils.files import require_writable
from aotlab.utils.signals import stop_flag


class Steps(Protocol):
    """What tracking needs of a tracker."""

    def step(self, frame: np.ndarray, mask: np.ndarray | None = None) -> Any:
        """Take a frame (H×W×3 uint8 RGB) and perhaps its mask; return what has ``labels``, H×W ids.

        Labels are empty before the first mask.
        """


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
    progress: bool = True
    """show a bar where stderr is a terminal"""

    def __post_init__(self) -> None:
        unknown = [name for name in self.write if name not in OUTPUTS]
        if unknown or not self.write:
            raise InputError(f"--write {','.join(self.write)}: give some of {', '.join(OUTPUTS)}")
        if self.timeout <= 0:
            raise InputError(f"--timeout {self.timeout:g}: give a number of seconds above 0")
        if self.realtime and self.both_directions:
            raise InputError(
                "--realtime: cannot go with --both-directions, which needs later frames; give one"
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
    tracker: Steps,
    source: FrameSource,
    masks: Mapping[int, np.ndarray],
    output: Path,
    options: TrackOptions = DEFAULTS,
) -> TrackReport:
    """Run the tracker over a video and write what it finds, while the next frames are read.

    Whatever ends it early (a bad frame, a stall, a full disk, Ctrl-C), what was done is complete; the report says why.

    Args:
        tracker: for both directions it also needs ``reset``.
        source: the frames.
        masks: H×W object ids by frame index; one at a later frame adds objects.
        output: folder; made if it is missing.

    Raises:
        InputError: the output folder cannot be written, or not even the first frame can be done.
        Exception: a crash, after what was done was completed.
    """
    outputs = open_outputs(options.write, require_writable(output), source)
    with stop_flag() as stop:
        timed = Timed(tracker)
        ahead = ReadAhead(source, stop, options.timeout, realtime=options.realtime, keep=masks.keys())
        sink = WriteBehind(list(outputs.values()), source)
        with closing(_results(timed, ahead, masks, options, output)) as results:
            done, problem = _write_all(results, sink, source, options.progress)
    if problem is not None and (sink.frames == 0 or not isinstance(problem, InputError)):
        raise problem
    written = {name: own.path for name, own in outputs.items() if own in done and own.path.exists()}
    return TrackReport(
        sink.frames,
        timed.seconds,
        written,
        dropped=ahead.dropped,
        interrupted=stop.is_set(),
        error=_sentence(problem, set(outputs) - set(written))
        or _unused(source, {} if stop.is_set() else masks, sink.last + 1),
    )


class Timed:
    """A tracker with a clock that runs while it works."""

    def __init__(self, tracker: Any) -> None:
        self._tracker = tracker
        self.seconds = 0.0

    def step(self, frame: np.ndarray, mask: np.ndarray | None = None) -> Any:
        """Step the tracker, and wait for the labels, which its device may still be busy with."""
        start = time.perf_counter()
        prediction = self._tracker.step(frame, mask)
        np.asarray(prediction.labels)
        self.seconds += time.perf_counter() - start
        return prediction

    def reset(self, length: int | None = None) -> None:
        """Reset the tracker."""
        self._tracker.reset(length)


def _results(
    tracker: Timed, frames: ReadAhead, masks: Mapping[int, np.ndarray], options: TrackOptions, folder: Path
) -> Generator[Answered, None, None]:
    """Yield number, picture and prediction of every frame, in order."""
    with closing(iter(frames)) as numbered:
        if options.both_directions:
            yield from both_directions(tracker, numbered, masks, folder, frames.stop)
            return
        for index, frame in numbered:
            yield index, frame, tracker.step(frame, masks.get(index))


def _write_all(
    results: Iterable[Answered], sink: WriteBehind, source: FrameSource, progress: bool
) -> tuple[list[Output], BaseException | None]:
    """Give all results to be written, as long as they can be; return complete outputs and what went wrong."""
    problem: BaseException | None = None
    try:
        try:
            with tqdm(total=source.length, unit="frame", disable=None if progress else True) as bar:
                for index, frame, prediction in results:
                    if not sink.put(Tracked(index, frame, prediction, source.time(index))):
                        break
                    bar.update()
        except Exception as error:
            problem = error
        done = sink.finish()
    except KeyboardInterrupt:  # the second one
        sink.drop()
        raise
    return done, problem or sink.error


def _sentence(problem: BaseException | None, missing: set[str]) -> str | None:
    """What went wrong, if anything did, and which results could not be completed because of it."""
    if problem is None:
        return None
    left_out = ", ".join(OUTPUTS[name][0] for name in OUTPUTS if name in missing)
    return f"{problem} (not completed: {left_out})" if left_out else str(problem)


def _unused(source: FrameSource, masks: Mapping[int, np.ndarray], frames: int) -> str | None:
    """The sentence about masks of frames that the video does not have, or None."""
    late = sorted(index for index in masks if index >= frames)
    if not late:
        return None
    return (
        f"{source.name}: the mask of frame {late[0]} was not used, the video holds {frames} frames; "
        f"give masks of frames 0 to {frames - 1}"
    )
