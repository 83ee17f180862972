"""What is said of a measure over a sequence: mean, recall, decay.

Source: the public DAVIS 2017 evaluator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RECALL_THRESHOLD = 0.5


@dataclass(frozen=True)
class Statistics:
    """One measure of one object over its frames, as fractions."""

    mean: float
    recall: float
    """share of the frames above one half"""
    decay: float
    """mean of the first quarter minus mean of the last; positive when quality is lost over time"""


def summarise(values: np.ndarray) -> Statistics:
    """Mean, recall and decay of (N,) per-frame values in time order; NaN frames are left out of means."""
    return Statistics(mean=mean(values), recall=recall(values), decay=decay(values))


def mean(values: np.ndarray) -> float:
    """Mean of the (N,) values that are not NaN; NaN where there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def recall(values: np.ndarray) -> float:
    """Share of the (N,) values above one half; a NaN counts as a frame that is not."""
    return float((values > RECALL_THRESHOLD).mean()) if values.size else float("nan")


def decay(values: np.ndarray) -> float:
    """Mean of the first quarter of the (N,) values minus that of the last; quarters share their end frames.

    Plain integers hold the indices: the reference's 8 bits give nonsense from 256 frames on.
    """
    last = len(values) - 1
    if last < 0:
        return float("nan")
    # i/4 of the way, halves rounded up
    ends = [(quarter * last + 2) // 4 for quarter in range(5)]
    return mean(values[ends[0] : ends[1] + 1]) - mean(values[ends[3] : ends[4] + 1])
