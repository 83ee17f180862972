"""One setting measured: time by part, work by part, memory, and the machine's own rate beside them."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aotlab.masks.id_maps import write_mask
from aotlab.media.video import FrameSource, open_frames
from aotlab.networks.preprocess import network_size
from aotlab.utils.devices import AUTOCAST
from aotlab.utils.progress import progress_bar
from benchmarks.machine import Machine, describe_machine, forget_peak, matmul_rate, peak_bytes
from benchmarks.parts import PARTS, READ, WRITE, PartClock, flops_of
from benchmarks.settings import Setting
from benchmarks.timed_tracker import TimedTracker, frames_of, write_clip


@dataclass(frozen=True)
class PartTime:
    """A row of the table."""

    name: str
    milliseconds: float
    """median"""
    fastest: float
    """the same in the fastest frame"""
    share: float
    """of the medians of all parts"""
    gflop: float | None
    """of one frame; None for what is no work of the model's"""
    rate_share: float | None
    """GFLOP per second as a share of the machine's for matrix products"""


@dataclass(frozen=True)
class Measurement:
    """Times and work of one setting. Seconds are of a frame."""

    title: str
    name: str
    """of the model"""
    size: tuple[int, int]
    """(width, height) of the frames"""
    network_size: tuple[int, int]
    """(width, height) of the network's input"""
    objects: int
    frames: int
    precision: str
    step_seconds: float
    """median of `Tracker.step`"""
    step_fastest: float
    total_seconds: float
    """median with reading the frame and writing the mask"""
    total_fastest: float
    parts: tuple[PartTime, ...]
    memory_frames: int
    """in long-term memory at the end"""
    peak_bytes: int
    matmul_gflops: float
    """GFLOP per second of large matrix products"""
    step_gflop: float
    machine: Machine

    @property
    def rate_share(self) -> float:
        """The step's GFLOP per second as a share of the machine's for matrix products."""
        return self.step_gflop / self.step_seconds / self.matmul_gflops

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        rates = {
            "rate_share": self.rate_share,
            "frames_per_second": 1 / self.total_seconds,
            "steps_per_second": 1 / self.step_seconds,
        }
        return {**asdict(self), **rates}


def measure(setting: Setting, *, progress: bool = False) -> Measurement:
    """Time a setting, first as it is, then once more with a clock between the parts.

    Raises:
        InputError: a model, file or device that is not there.
    """
    run = TimedTracker(setting)
    device = run.tracker.device
    forget_peak(device)
    with tempfile.TemporaryDirectory() as folder:
        source = (
            write_clip(Path(folder) / "clip", setting.size)
            if setting.video is None
            else open_frames(setting.video)
        )
        with progress_bar(2 * setting.frames, unit="frame", shown=progress) as bar:
            steps, totals = _time_frames(run, source, Path(folder), bar.update)
            clocks = _time_parts(run, source, Path(folder), bar.update)
    peak = peak_bytes(device)
    rate = matmul_rate(device, AUTOCAST.get(setting.precision, torch.float32))
    config = run.tracker.config
    inside = network_size(source.size, config.input, align_corners=config.model.align_corners)
    flops = flops_of(run, inside, clocks[-1].memory_frames)
    return Measurement(
        title=setting.title, name=run.tracker.config.name, size=source.size[::-1], network_size=inside[::-1],
        objects=setting.objects, frames=setting.frames, precision=setting.precision,
        step_seconds=statistics.median(steps), step_fastest=min(steps),
        total_seconds=statistics.median(totals), total_fastest=min(totals),
        parts=_parts(clocks, flops, rate), memory_frames=clocks[-1].memory_frames, peak_bytes=peak,
        matmul_gflops=rate / 1e9, step_gflop=sum(flops.values()) / 1e9, machine=describe_machine(device),
    )  # fmt: skip


def _time_frames(
    run: TimedTracker, source: FrameSource, folder: Path, tick: Callable[[], object]
) -> tuple[list[float], list[float]]:
    """Seconds of `Tracker.step`, and of a frame from the file to the mask, without a look inside."""
    run.start(frames_of(run.setting))
    reader, steps, totals = _endless(source), [], []
    next(reader)  # opening a video is not reading a frame
    for _ in range(run.setting.frames):
        begin = time.perf_counter()
        frame = next(reader)
        read = time.perf_counter() - begin
        seconds, prediction = run.timed_step(frame)
        begin = time.perf_counter()
        write_mask(folder / "mask.png", prediction.labels)
        steps.append(seconds)
        totals.append(read + seconds + time.perf_counter() - begin)
        tick()
    return steps, totals


def _time_parts(
    run: TimedTracker, source: FrameSource, folder: Path, tick: Callable[[], object]
) -> list[PartClock]:
    """A clock for each of the same frames, which waits for the device between parts."""
    run.start(frames_of(run.setting))
    reader, clocks = _endless(source), []
    next(reader)
    for _ in range(run.setting.frames):
        clock = PartClock(run.tracker.device)
        clock.start(READ)
        frame = next(reader)
        clock.stop()
        with run.way(), clock.watching(run):
            clock.start()
            prediction = run.tracker.step(frame)
            clock.stop()
        clock.start(WRITE)
        write_mask(folder / "mask.png", prediction.labels)
        clock.stop()
        clocks.append(clock)
        tick()
    return clocks


def _endless(source: FrameSource) -> Iterator[np.ndarray]:
    """The frames again and again."""
    while True:
        yield from source


def _parts(clocks: list[PartClock], flops: dict[str, int], rate: float) -> tuple[PartTime, ...]:
    """The rows of the table."""
    medians = {part: statistics.median(clock.seconds[part] for clock in clocks) for part in PARTS}
    whole = sum(medians.values())
    rows = []
    for part, seconds in medians.items():
        work = flops.get(part)
        rate_share = None if not work or not seconds else work / seconds / rate
        fastest = min(clock.seconds[part] for clock in clocks)
        gflop = None if work is None else work / 1e9
        rows.append(PartTime(part, seconds * 1e3, fastest * 1e3, seconds / whole, gflop, rate_share))
    return tuple(rows)
