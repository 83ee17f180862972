"""What tuning chooses on this machine, and what a frame gains by it."""

from __future__ import annotations

from dataclasses import replace

from aotlab.networks.kernels.tuning import Timing
from benchmarks.comparison import Comparison, compare_trackers
from benchmarks.settings import Setting
from benchmarks.timed_tracker import TimedTracker


def tune(setting: Setting) -> tuple[dict[str, Timing], Comparison]:
    """Time all implementations of a setting's products anew, then frames by the fixed choices (A) and by these (B).

    Returns:
        The timings by class of arguments, and the comparison.

    Raises:
        InputError: a model, file or device that is not there.
    """
    fixed, tuned = (TimedTracker(replace(setting, products=name)) for name in ("fixed", "tuned"))
    comparison = compare_trackers(fixed, tuned)
    assert tuned.tuner is not None
    return tuned.tuner.timings, comparison
