"""Interfaces of trackers."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from aotlab.engine.inputs import Size
from aotlab.engine.prediction import Prediction


class FrameTracker(Protocol):
    """Tracks the objects of one video; see `Tracker`."""

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames."""

    def step(self, frame: np.ndarray, mask: np.ndarray | None = None) -> Prediction:
        """Track all objects to the next frame."""

    def forget(self, object_id: int) -> None:
        """Stop tracking an object."""


class BenchmarkTracker(Protocol):
    """Tracks many videos, with results of any size and less memory on request; see `Tracker`."""

    one_group_at_a_time: bool

    @property
    def device(self) -> torch.device:
        """Device of the predictions."""

    @property
    def groups(self) -> int:
        """Number of groups that the objects fill."""

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames."""

    def step(
        self, frame: np.ndarray, mask: np.ndarray | None = None, *, size: Size | None = None
    ) -> Prediction:
        """Track all objects to the next frame."""

    def fresh(self) -> BenchmarkTracker:
        """Return another tracker of the same model and settings, without objects."""
