"""Interface of observers of a training run, such as its journal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from aotlab.engine.training.clip import ClipBatch
from aotlab.engine.training.state import PhaseState
from aotlab.utils.errors import RunStopped


class NonFiniteError(RunStopped):
    """Non-finite loss or gradient; the message names the clips of the step."""


@dataclass(frozen=True)
class StepResult:
    """Metrics and masks of an optimizer step."""

    metrics: dict[str, float]
    """Means over the ranks: losses, in total and of reference and tracked frames; IoU of tracked objects, 0 to 1, nan
    without objects; learning rates; norm of the gradient before clipping; seconds of waiting for data and of the step.
    """
    clip: ClipBatch
    """Last micro-batch."""
    predictions: list[Tensor]
    """Predicted masks of that micro-batch, B×H×W per frame."""


class TrainingListener:
    """Listener of the moments of a run, whose methods do nothing by default; every rank calls them."""

    def phase_begins(self, state: PhaseState) -> None:
        """Called before the first step of a phase; ``state.step`` is above 0 if the run is resumed."""

    def step_done(self, state: PhaseState, result: StepResult | NonFiniteError) -> None:
        """Called after a step, which ``state.step`` counts; ``result``: an error if the step was skipped."""

    def video_scored(self, state: PhaseState, done: int, total: int) -> None:
        """Called after each video of a validation; ``done`` of ``total`` videos of this rank are scored."""

    def state_saved(self, state: PhaseState, path: Path) -> None:
        """Called on a rank that has written a state: the main one or, after a lost rank, all."""

    def phase_ends(self, state: PhaseState) -> None:
        """Called after the last step of a phase; the model has its averaged weights."""
