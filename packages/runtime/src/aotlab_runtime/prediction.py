"""`Prediction`, the masks of a frame."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """Masks of one frame, as logits, probabilities or object ids."""

    ids: tuple[int, ...]
    """Ids of the tracked objects in the order they were added."""
    logits: np.ndarray
    """(1+n)×H×W float32: channel 0 is background, channel k + 1 is object ``ids[k]``."""
    temperature: float = 1.0
    """Divisor of the logits for `confidence`."""

    def __repr__(self) -> str:
        """Name ids and size in one line."""
        _, height, width = self.logits.shape
        return f"Prediction(ids={list(self.ids)}, height={height}, width={width})"

    @cached_property
    def indices(self) -> np.ndarray:
        """H×W int64, the most likely channel of ``logits`` in every pixel."""
        return self.logits.argmax(0)

    @cached_property
    def labels(self) -> np.ndarray:
        """H×W object ids, 0 is background; unsigned integers as wide as the largest id needs."""
        return np.array([0, *self.ids], np.min_scalar_type(max(self.ids, default=0)))[self.indices]

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(1+n)×H×W that sum to 1 in every pixel."""
        return softmax(self.logits)

    @cached_property
    def confidence(self) -> dict[int, float]:
        """Mean calibrated probability of each object's pixels, in [0, 1]: 0 without pixels, 1 on frames with a mask."""
        max_probabilities = softmax(self.logits / self.temperature).max(0)
        channels, count = self.indices.ravel(), len(self.logits)
        areas = np.bincount(channels, minlength=count)
        means = np.bincount(channels, max_probabilities.ravel(), count) / np.maximum(areas, 1)
        return dict(zip(self.ids, means[1:].tolist(), strict=True))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities along the first axis."""
    exponentials = np.exp(logits - logits.max(0))
    return exponentials / exponentials.sum(0)
