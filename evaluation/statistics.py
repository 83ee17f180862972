"""Mean, recall and decay of a measure over a sequence.

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
    """fraction of frames above one half"""
    decay: float
    """mean of the first quarter minus mean of the last; positive if quality drops over time"""


def summarise(values: np.ndarray) -> Statistics:
    """Return mean, recall and decay of (N,) per-frame values in temporal order; means ignore NaN."""
    return Statistics(mean=mean(values), recall=recall(values), decay=decay(values))


def mean(values: np.ndarray) -> float:
    """Return the mean of the (N,) values that are not NaN; NaN if there are no such values."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def recall(values: np.ndarray) -> float:
    """Return the fraction of the (N,) values above one half; NaN counts as below."""
    return float((values > RECALL_THRESHOLD).mean()) if values.size else float("nan")


def decay(values: np.ndarray) -> float:
    """Return the mean of the first quarter of the (N,) values minus that of the last; quarters share end frames.

    Indices are Python integers; the reference evaluator's 8-bit indices overflow from 256 frames on.
    """
    last = len(values) - 1
    if last < 0:
        return float("nan")
    # quarter points, halves rounded up
    ends = [(quarter * last + 2) // 4 for quarter in range(5)]
    return mean(values[ends[0] : ends[1] + 1]) - mean(values[ends[3] : ends[4] + 1])
