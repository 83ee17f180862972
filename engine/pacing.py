"""Depth of a scalable model chosen to keep up with a frame rate."""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np

from aotlab.engine.prediction import Prediction
from aotlab.engine.tracker import Tracker
from aotlab.utils.devices import synchronize
from aotlab.utils.errors import InputError

TRIALS = 4
"""frames tracked at each depth; the fastest counts, as the first ones choose kernels"""
log = logging.getLogger(__name__)


class PacedTracker:
    """A tracker at the largest depth that keeps up, measured on the first frame with a mask; all else as `Tracker`."""

    def __init__(self, tracker: Tracker, rate: float) -> None:
        """``rate``: frames per second. Raises InputError if the model is not scalable."""
        if not tracker.config.model.scalable:
            raise InputError("depth auto: this model has one depth; use an AOST model")
        self.tracker, self.rate = tracker, rate
        self._measured = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tracker, name)

    def step(self, frame: np.ndarray, mask: np.ndarray | None = None) -> Prediction:
        """Track to the next frame; the first mask is measured at every depth, deepest first."""
        if mask is not None and not self._measured:
            self._measured = True
            for depth in range(self.tracker.config.model.stages[0].depth, 0, -1):
                self.tracker.set_depth(depth)
                seconds = self._seconds(frame, mask)
                if seconds <= 1 / self.rate:
                    break
            log.info("depth %d: %.3f s a frame, for %g frames per second", depth, seconds, self.rate)
        return self.tracker.step(frame, mask)

    def _seconds(self, frame: np.ndarray, mask: np.ndarray) -> float:
        """Return the shortest time of a frame at the current depth."""
        trial = self.tracker.fresh()
        trial.step(frame, mask)
        times = []
        for _ in range(TRIALS):
            begin = time.perf_counter()
            trial.step(frame)
            synchronize(trial.device)
            times.append(time.perf_counter() - begin)
        return min(times)
