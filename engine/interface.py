"""What those who run a tracker need of it: a `Tracker`, an `Ensemble`, one with a clock, or a twin in a test."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from aotlab.engine.inputs import Size
from aotlab.engine.prediction import Prediction


class FrameTracker(Protocol):
    """Tracks the objects of one video, frame by frame; all as in `Tracker`."""

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames."""

    def step(self, frame: np.ndarray, mask: np.ndarray | None = None) -> Prediction:
        """Track all objects to the next frame."""

    def forget(self, number: int) -> None:
        """Track an object no longer."""


class BenchmarkTracker(Protocol):
    """Tracks many videos with results of any size, and can run with less memory; all as in `Tracker`."""

    one_group_at_a_time: bool

    @property
    def device(self) -> torch.device:
        """Where predictions are."""

    @property
    def groups(self) -> int:
        """How many groups the objects fill."""

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames."""

    def step(
        self, frame: np.ndarray, mask: np.ndarray | None = None, *, size: Size | None = None
    ) -> Prediction:
        """Track all objects to the next frame."""

    def fresh(self) -> BenchmarkTracker:
        """Another tracker of the same model and settings, without objects."""
