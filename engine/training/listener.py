"""Interface of listeners of a training run, such as its logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from aotlab.engine.training.clip import ClipBatch
from aotlab.engine.training.state import TrainState


@dataclass(frozen=True)
class StepResult:
    """Metrics and masks of an optimizer step."""

    metrics: dict[str, float]
    """Means over the ranks: losses, in total, of reference and tracked frames, and its terms as ``loss_NAME``; IoU of
    tracked objects, 0 to 1, nan without objects; learning rates; norm of the gradient before clipping; seconds of
    waiting for data and of the step. Empty if the step was skipped.
    """
    clip: ClipBatch
    """Last micro-batch."""
    predictions: list[Tensor]
    """Predicted masks of that micro-batch, B×H×W per frame."""
    skipped: str = ""
    """Why the step was skipped, which leaves the weights unchanged; empty otherwise."""


class TrainingListener:
    """Listener of a run, whose methods do nothing by default; every rank calls all of them but `saved`."""

    def began(self, state: TrainState) -> None:
        """Called before the first step of a phase; ``state.step`` is above 0 if the run is resumed."""

    def stepped(self, state: TrainState, result: StepResult) -> None:
        """Called after a step, which ``state.step`` counts."""

    def video_scored(self, state: TrainState, done: int, total: int) -> None:
        """Called after each video of a validation; ``done`` of ``total`` videos of this rank are scored."""

    def validated(self, state: TrainState, scores: dict[str, float]) -> None:
        """Called after a validation with the scores of all videos in percent: J&F, J and F, or of ``data.benchmark``.

        ``state.averaged`` was scored; ``state.best`` is the best first score of the earlier validations.
        """

    def saved(self, state: TrainState, path: Path) -> None:
        """Called once for each saved state on a rank that has written it: the main one or, after a lost rank, all."""

    def ended(self, state: TrainState, reason: str | None) -> None:
        """Called at the end of a phase, when its averaged weights are in the model and written, or if the run stops.

        ``reason``: why the run stops; None at the end of the phase, and for internal errors.
        """
