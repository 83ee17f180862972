"""Calibration: whether pixels with probability p are right p of the time, and a temperature that brings it about."""

from __future__ import annotations

import numpy as np

NUM_BINS = 15
TEMPERATURES = np.geomspace(0.25, 8, 241)
"""temperatures that `fit_temperature` tries"""


def expected_calibration_error(probability: np.ndarray, right: np.ndarray, bins: int = NUM_BINS) -> float:
    """Mean difference of probability and share of right pixels over equal bins, weighted by their pixels.

    Source: Guo et al. 2017.

    Args:
        probability: N floats in 0 to 1, of the chosen class.
        right: N bools, whether it was right.
        bins: number of bins.
    """
    which = np.minimum((probability * bins).astype(int), bins - 1)
    counts = np.bincount(which, minlength=bins)
    gaps = np.bincount(which, probability - right, bins)
    return float(np.abs(gaps).sum() / max(1, counts.sum()))


def softmax_with_temperature(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax of N×C logits divided by a temperature; logits may be -inf."""
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def fit_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """Temperature of the least cross-entropy.

    Args:
        logits: N×C floats; classes that a pixel does not have are -inf.
        truth: N integers, the right class.
    """

    def entropy(temperature: float) -> float:
        own = softmax_with_temperature(logits, temperature)[np.arange(len(truth)), truth]
        return float(-np.log(np.clip(own, 1e-7, 1)).mean())

    return float(min(TEMPERATURES, key=entropy))
