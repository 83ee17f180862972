"""One setting measured: time and FLOPs of the parts of a frame, memory, and the machine's own rate."""

from __future__ import annotations

import statistics
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
from aotlab.utils.devices import AUTOCAST, synchronize
from aotlab.utils.progress import progress_bar
from benchmarks.machine import Machine, describe_machine, forget_peak, matmul_rate, peak_bytes
from benchmarks.settings import CLOCKS
from benchmarks.timed_tracker import TimedTracker

ENCODE, PROPAGATE, DECODE, MEMORY, REST = "encode", "propagate", "decode", "memory", "rest"
PARTS = (ENCODE, PROPAGATE, DECODE, MEMORY, REST)
"""parts of a frame; rest: resizing, labels, masks"""
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
    """share of the sum of all medians"""
    gflop: float
    """GFLOP of one frame; 0 outside the model"""
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
    """GFLOP of one frame"""
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
    seconds, parts, frames = [], [], 0
    with progress_bar(2 * setting.frames, unit="frame", shown=progress) as bar:
        run.start()
        for index in range(setting.frames):
            seconds.append(run.timed_step(index))
            bar.update()
        run.start()
        for index in range(setting.frames):
            frames = max(map(len, run.tracker.banks))
            with clocked(run) as by_part:
                whole = run.timed_step(index)
            parts.append({**by_part, REST: whole - sum(by_part.values())})
            bar.update()
    peak = peak_bytes(device)
    rate = matmul_rate(device, AUTOCAST.get(setting.precision, torch.float32))
    height, width = run.frames[0].shape[:2]
    inside = network_size((height, width), config.input, align_corners=config.model.align_corners)
    flops = flops_of(run, inside, frames)
    return Measurement(
        title=setting.title, size=(width, height), network_size=inside[::-1],
        seconds=statistics.median(seconds), fastest=min(seconds), gflop=sum(flops.values()) / 1e9,
        parts=_rows(parts, flops, rate), memory_frames=frames, peak_bytes=peak,
        matmul_gflops=rate / 1e9, machine=describe_machine(device),
    )  # fmt: skip


def _rows(frames: list[dict[str, float]], flops: dict[str, int], rate: float) -> tuple[PartTime, ...]:
    medians = {part: statistics.median(frame[part] for frame in frames) for part in PARTS}
    whole = sum(medians.values())
    return tuple(
        PartTime(
            part, seconds * 1e3, seconds / whole, flops.get(part, 0) / 1e9,
            flops.get(part, 0) / seconds / rate if seconds else 0.0,
        )
        for part, seconds in medians.items()
    )  # fmt: skip


@contextmanager
def clocked(run: TimedTracker) -> Iterator[dict[str, float]]:
    """Give the seconds by part of the frames that a run tracks while the context lasts."""
    seconds: dict[str, float] = defaultdict(float)
    device, clock = run.tracker.device, CLOCKS[run.setting.clock]

    def around(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a function so that its seconds are added to ``part``."""

        @wraps(function)
        def timed(*args: Any, **options: Any) -> Any:
            """Run the function and add its seconds."""
            synchronize(device)
            begin = clock()
            result = function(*args, **options)
            synchronize(device)
            seconds[part] += clock() - begin
            return result

        return timed

    model = run.tracker.model
    methods: list[tuple[Any, str, str]] = [(model, name, part) for name, part in VERBS.items()]
    methods += [(MemoryBank, name, MEMORY) for name in ("read", "add")]
    with ExitStack() as stack:
        for owner, name, part in methods:
            stack.enter_context(patch.object(owner, name, around(part, getattr(owner, name))))
        yield seconds


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
