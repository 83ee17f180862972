"""Two settings side by side: interleaved frame by frame, so that what else the machine does slows both."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from aotlab.utils.progress import progress_bar
from benchmarks.machine import Machine, describe_machine
from benchmarks.settings import Setting
from benchmarks.timed_tracker import TimedTracker, frames_of, looped


@dataclass(frozen=True)
class Comparison:
    """Seconds per frame of A and B, pair by pair of frames that ran one after the other."""

    first: str
    second: str
    """how A and B are written"""
    first_seconds: tuple[float, ...]
    second_seconds: tuple[float, ...]
    machines: tuple[Machine, Machine]
    """of A and B"""

    @property
    def medians(self) -> tuple[float, float]:
        """Seconds of A and B."""
        return statistics.median(self.first_seconds), statistics.median(self.second_seconds)

    @property
    def ratio(self) -> float:
        """A's seconds over B's: the median over pairs. Above 1, B is faster."""
        return float(np.median(self._ratios))

    @property
    def spread(self) -> tuple[float, float]:
        """10th and 90th percentile of the ratio over pairs."""
        low, high = np.percentile(self._ratios, [10, 90])
        return float(low), float(high)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        results = {"medians": self.medians, "ratio": self.ratio, "spread": self.spread}
        return {**asdict(self), **results}

    @property
    def _ratios(self) -> np.ndarray:
        return np.array(self.first_seconds) / np.array(self.second_seconds)


def compare(first: Setting, second: Setting, *, progress: bool = False) -> Comparison:
    """Time two settings, each on its own tracker, in the order A B B A A B B A ...

    As many frames are timed as the setting with fewer says.

    Raises:
        InputError: a model, file or device that is not there.
    """
    return compare_trackers(TimedTracker(first), TimedTracker(second), progress=progress)


def compare_trackers(first: TimedTracker, second: TimedTracker, *, progress: bool = False) -> Comparison:
    """As `compare`, of trackers that are built."""
    runs, clips = (first, second), [frames_of(run.setting) for run in (first, second)]
    for run, frames in zip(runs, clips, strict=True):
        run.start(frames)
    seconds: tuple[list[float], list[float]] = ([], [])
    pairs = min(run.setting.frames for run in runs)
    with progress_bar(pairs, unit="pair", shown=progress) as bar:
        for index in range(pairs):
            for which in (0, 1) if index % 2 == 0 else (1, 0):
                taken, _ = runs[which].timed_step(looped(clips[which], index))
                seconds[which].append(taken)
            bar.update()
    machines = describe_machine(runs[0].tracker.device), describe_machine(runs[1].tracker.device)
    titles = first.setting.title, second.setting.title
    return Comparison(*titles, tuple(seconds[0]), tuple(seconds[1]), machines)
