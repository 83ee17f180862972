"""One setting measured: time and FLOPs of the parts of a frame, memory, and the machine's own rate."""

from __future__ import annotations

import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import wraps
from typing import Any
from unittest.mock import patch

import torch

from aotlab.engine.inspection.costs import BANKS, model_costs
from aotlab.engine.memory import MemoryBank
from aotlab.networks.preprocess import network_size
from aotlab.utils.devices import AUTOCAST, settle
from aotlab.utils.progress import progress_bar
from benchmarks.machine import Machine, describe_machine, forget_peak, matmul_rate, peak_bytes
from benchmarks.timed_tracker import TimedTracker

BEFORE, ENCODE, PROPAGATE = "preprocess", "encode", "propagate"
DECODE, MEMORY, AFTER = "decode", "memory", "postprocess"
PARTS = (BEFORE, ENCODE, PROPAGATE, DECODE, MEMORY, AFTER)
"""of a frame, in their order"""
VERBS = {
    "encode": ENCODE, "propagate": PROPAGATE, "decode": DECODE, "assign_identities": MEMORY, "memorize": MEMORY,
}  # fmt: skip
"""methods of the model to their part"""


@dataclass(frozen=True)
class PartTime:
    """Row of the table."""

    name: str
    milliseconds: float
    """median"""
    share: float
    """of the sum of all parts' medians"""
    gflop: float
    """of one frame; 0 outside the model"""
    rate_share: float
    """GFLOP per second over those of large matrix products"""


@dataclass(frozen=True)
class Measurement:
    """Time and work of one setting."""

    title: str
    size: tuple[int, int]
    """(width, height) of the frames in pixels"""
    network_size: tuple[int, int]
    """(width, height) of the network's input in pixels"""
    seconds: float
    """median of `Tracker.step`"""
    fastest: float
    """seconds of the fastest frame"""
    gflop: float
    """of one frame"""
    parts: tuple[PartTime, ...]
    memory_frames: int
    """in long-term memory at the end"""
    peak_bytes: int
    matmul_gflops: float
    """GFLOP per second of large matrix products"""
    machine: Machine

    @property
    def rate_share(self) -> float:
        """GFLOP per second over those of large matrix products."""
        return self.gflop / self.seconds / self.matmul_gflops

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {**asdict(self), "rate_share": self.rate_share}


def measure(run: TimedTracker, *, progress: bool = False) -> Measurement:
    """Time frames as they are, then the same frames with a clock between the parts.

    Raises:
        InputError: as `TimedTracker.start`.
    """
    setting, device, config = run.setting, run.tracker.device, run.tracker.config
    forget_peak(device)
    clocks = []
    with progress_bar(2 * setting.frames, unit="frame", shown=progress) as bar:
        run.start()
        seconds = []
        for index in range(setting.frames):
            seconds.append(run.timed_step(index))
            bar.update()
        run.start()
        for index in range(setting.frames):
            clocks.append(_clocked(run, index))
            bar.update()
    peak = peak_bytes(device)
    rate = matmul_rate(device, AUTOCAST.get(setting.precision, torch.float32))
    height, width = run.frames[0].shape[:2]
    inside = network_size((height, width), config.input, align_corners=config.model.align_corners)
    flops = flops_of(run, inside, clocks[-1].memory_frames)
    return Measurement(
        title=setting.title, size=(width, height), network_size=inside[::-1],
        seconds=statistics.median(seconds), fastest=min(seconds), gflop=sum(flops.values()) / 1e9,
        parts=_rows(clocks, flops, rate), memory_frames=clocks[-1].memory_frames, peak_bytes=peak,
        matmul_gflops=rate / 1e9, machine=describe_machine(device),
    )  # fmt: skip


def _clocked(run: TimedTracker, index: int) -> PartClock:
    clock, frame = PartClock(run.tracker.device), run.frame(index)
    with run.running(), clock.watching(run):
        clock.start()
        run.tracker.step(frame)
        clock.stop()
    return clock


def _rows(clocks: list[PartClock], flops: dict[str, int], rate: float) -> tuple[PartTime, ...]:
    medians = {part: statistics.median(clock.seconds[part] for clock in clocks) for part in PARTS}
    whole = sum(medians.values())
    return tuple(
        PartTime(
            part, seconds * 1e3, seconds / whole, flops.get(part, 0) / 1e9,
            flops.get(part, 0) / seconds / rate if seconds else 0.0,
        )
        for part, seconds in medians.items()
    )  # fmt: skip


class PartClock:
    """Seconds by part. Time between parts is preprocessing until the image is encoded, then postprocessing."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.memory_frames = 0
        """in the largest long-term memory that was read"""
        self._device = device
        self._open = [AFTER]
        self._mark = 0.0

    def start(self) -> None:
        """Start with preprocessing."""
        settle(self._device)
        self._open = [BEFORE]
        self._mark = time.perf_counter()

    def stop(self) -> None:
        """Add the time since the last call to the part that runs."""
        settle(self._device)
        now = time.perf_counter()
        self.seconds[self._open[-1]] += now - self._mark
        self._mark = now

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose time counts as a part's."""

        @wraps(function)
        def timed(*args: Any, **options: Any) -> Any:
            """Run the function."""
            self.stop()
            self._open.append(part)
            try:
                return function(*args, **options)
            finally:
                self.stop()
                self._open.pop()
                if part == ENCODE:
                    self._open[0] = AFTER

        return timed

    @contextmanager
    def watching(self, run: TimedTracker) -> Iterator[None]:
        """Time the verbs of a run's model, and its memory, for as long as the context lasts."""
        read = self.around(MEMORY, MemoryBank.read)

        def counted(bank: MemoryBank) -> Any:
            """Read a bank and note its frames."""
            self.memory_frames = max(self.memory_frames, len(bank))
            return read(bank)

        model = run.tracker.model
        with ExitStack() as stack:
            for name, part in VERBS.items():
                stack.enter_context(patch.object(model, name, self.around(part, getattr(model, name))))
            stack.enter_context(patch.object(MemoryBank, "read", counted))
            stack.enter_context(patch.object(MemoryBank, "add", self.around(MEMORY, MemoryBank.add)))
            yield


def flops_of(run: TimedTracker, network_size: tuple[int, int], memory_frames: int) -> dict[str, int]:
    """Return the FLOPs of one frame by part; memorising counts where its keys are made.

    Args:
        run: owner of the model.
        network_size: (height, width) of the network's input in pixels.
        memory_frames: in long-term memory.
    """
    config, objects = run.tracker.model.config, run.setting.objects
    flops: Counter[str] = Counter()
    kinds = {"encoder": ENCODE, "projector": ENCODE, "decoder": DECODE, BANKS: MEMORY}
    for cost in model_costs(config, network_size, objects=objects, frames=memory_frames):
        flops[kinds.get(cost.name, PROPAGATE)] += cost.flops
    return dict(flops)
