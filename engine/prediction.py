"""Predictions of trackers: masks of one frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """Masks of one frame, as logits, probabilities or object ids."""

    ids: tuple[int, ...]
    """all objects tracked so far, in the order they were given, without forgotten ones"""
    logits: Tensor
    """(1+n)×H×W, background and then the objects in the order of ``ids``"""
    channels: Tensor
    """H×W int64, the most likely channel of ``logits`` in every pixel"""
    disagreement: Mapping[int, float] = field(default_factory=dict, kw_only=True)
    """1 minus the IoU of what both directions say of an object, where both were tracked from masks that show it"""
    temperature: float = field(default=1.0, kw_only=True)
    """what logits are divided by for `confidence`"""

    @cached_property
    def labels(self) -> np.ndarray:
        """H×W object ids, 0 is background; unsigned integers as wide as the largest id needs."""
        table = np.array([0, *self.ids], np.min_scalar_type(max(self.ids, default=0)))
        return table[self.channels.cpu().numpy()]

    @cached_property
    def probabilities(self) -> Tensor:
        """(1+n)×H×W floats that add up to 1 in every pixel, in the order of `logits`."""
        return self.logits.softmax(0)

    @cached_property
    def confidence(self) -> dict[int, float]:
        """Mean calibrated probability of each object over its pixels, in [0, 1]; 0 where it has none."""
        chosen, probabilities = self.channels.flatten(), self.probabilities
        if self.temperature != 1:
            probabilities = (self.logits / self.temperature).softmax(0)
        probability = probabilities.gather(0, self.channels[None]).flatten()
        sums = torch.zeros(len(self.logits), device=chosen.device).scatter_add_(0, chosen, probability)
        counts = torch.bincount(chosen, minlength=len(self.logits)).clamp(min=1)
        return dict(zip(self.ids, (sums / counts)[1:].tolist(), strict=True))
