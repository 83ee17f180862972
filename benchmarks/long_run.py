"""What tracking costs frame by frame on a very long video, each memory policy in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aotlab.engine.tracker import Tracker
from aotlab.utils.errors import InputError
from benchmarks.looped import bounce

STATM = Path("/proc/self/statm")
"""where Linux tells a process how much memory it has"""
PATIENCE = 0.2
"""seconds from one look at the stop flag to the next"""


class Sample(NamedTuple):
    """What one frame took."""

    seconds: float
    """from the frame to its labels"""
    cpu_seconds: float
    """the same as the processor spent them on this process, over all its threads: what others do costs less here"""
    resident: int
    """bytes of memory of the process after it"""
    bank: int
    """bytes of long-term memory, with the room for frames to come"""
    kept: int
    """frames in long-term memory"""


@dataclass(frozen=True)
class Trial:
    """A model with one memory policy on one video."""

    checkpoint: Path
    config: str | None
    overrides: tuple[str, ...]
    device: str
    clip: Sequence[np.ndarray]
    """frames H×W×3 uint8, played forward and backward"""
    mask: np.ndarray
    """H×W object ids of the first one"""
    frames: int
    """of the long video"""
    stop_above: int | None = None
    """bytes of resident memory above which it ends"""


@dataclass
class Course:
    """The result of a trial."""

    samples: list[Sample] = field(default_factory=list)
    ended: str | None = None
    """why before its last frame; None: it was not"""
    failed: bool = False
    """whether that was neither asked for nor an interruption"""


def resident_bytes() -> int:
    """Bytes of memory that this process has.

    Raises:
        InputError: the system does not say.
    """
    try:
        pages = int(STATM.read_text().split()[1])
    except (OSError, IndexError, ValueError) as error:
        raise InputError(
            f"{STATM}: cannot be read ({error}); resident memory is measured on Linux"
        ) from error
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure_frames(
    tracker: Tracker, clip: Sequence[np.ndarray], mask: np.ndarray, frames: int
) -> Iterator[Sample]:
    """Track a clip that is played forward and backward for ``frames`` frames, and yield what each took.

    Nothing is read or written meanwhile, and nothing is kept of a frame, so what grows is the tracker's.

    Args:
        tracker: in any state; it is reset.
        clip: frames H×W×3 uint8.
        mask: H×W object ids of the first frame.
        frames: at least 1.
    """
    tracker.reset(frames)
    for index in range(frames):
        frame, given = clip[bounce(index, len(clip))], mask if index == 0 else None
        begin, cpu_begin = time.perf_counter(), time.process_time()
        tracker.step(frame, given).labels  # noqa: B018  on a GPU, asking for labels waits for them
        seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu_begin
        banks = tracker._banks
        yield Sample(
            seconds, cpu_seconds, resident_bytes(), sum(bank.nbytes for bank in banks), max(map(len, banks))
        )


def run_in_process(trial: Trial, stop: threading.Event, tick: Callable[[], object]) -> Course:
    """Run a trial in a fresh process, so that what is resident is its own.

    Args:
        trial: everything that the process is given.
        stop: ends it early when set; what was measured is kept.
        tick: called for every frame.

    Returns:
        The frames measured, and why there are no more. A process that dies is told there too.

    Raises:
        InputError: the process could not run the trial, for example because a checkpoint is missing.
    """
    fresh = multiprocessing.get_context("spawn")  # not forked: a copy of this process has its memory
    receiving, sending = fresh.Pipe(duplex=False)
    process = fresh.Process(target=_serve, args=(trial, sending), daemon=True)
    process.start()
    sending.close()  # the process has the other copy: when it ends, receiving does
    course = Course()
    try:
        for sample in _received(receiving, stop):
            course.samples.append(sample)
            tick()
    finally:
        if stop.is_set():
            process.terminate()
        process.join()
        receiving.close()
    count, limit = len(course.samples), trial.stop_above
    if stop.is_set() and count < trial.frames:
        course.ended = f"interrupted after {count} frames"
    elif count < trial.frames and limit is not None and count and course.samples[-1].resident > limit:
        course.ended = f"stopped at frame {count - 1}: resident memory above {limit / 1e9:.2f} GB"
    elif count < trial.frames:
        course.ended, course.failed = f"died after {count} frames (exit status {process.exitcode})", True
    return course


def _received(receiving: Connection, stop: threading.Event) -> Iterator[Sample]:
    """Yield what a process sends until it ends or ``stop`` is set.

    Raises:
        InputError: it sent the message of one.
    """
    while not stop.is_set():
        if not receiving.poll(PATIENCE):
            continue
        try:
            message = receiving.recv()
        except (EOFError, OSError):
            return
        if isinstance(message, str):
            raise InputError(message)
        yield message


def _serve(trial: Trial, sending: Connection) -> None:
    """Run a trial and send its samples, or the message of an `InputError`; what the fresh process does."""
    # Ctrl-C reaches all processes of a terminal: the one that started this one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        tracker = Tracker.from_checkpoint(
            trial.checkpoint, config=trial.config, overrides=trial.overrides, device=trial.device,
            protocol="published",
        )  # fmt: skip
        for sample in measure_frames(tracker, trial.clip, trial.mask, trial.frames):
            sending.send(sample)
            if trial.stop_above is not None and sample.resident > trial.stop_above:
                return
    except InputError as error:
        sending.send(str(error))
    except BrokenPipeError:
        return  # nobody listens any more
    finally:
        sending.close()
