"""What those who run a tracker need of it, whether it is a `Tracker`, an `Ensemble` or a twin in a test."""

from __future__ import annotations

from typing import Protocol

import torch

from aotlab.engine.inputs import FrameLike, MaskLike, Size
from aotlab.engine.prediction import Prediction


class VideoTracker(Protocol):
    """Tracks objects through a video, frame by frame; all as in `Tracker`."""

    one_group_at_a_time: bool

    @property
    def device(self) -> torch.device:
        """Where predictions are."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Objects tracked so far."""

    @property
    def groups(self) -> int:
        """How many groups these objects fill."""

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames."""

    def step(self, frame: FrameLike, mask: MaskLike | None = None, *, size: Size | None = None) -> Prediction:
        """Track all objects to the next frame."""
