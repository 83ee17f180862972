"""A training phase in progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch

from aotlab.configs.schema import Config
from aotlab.dataloaders.training.mixture import Mixture
from aotlab.engine.training.losses import find_loss
from aotlab.engine.training.optimization import average_weights, list_trained, parameter_groups
from aotlab.networks.model import VOSModel
from aotlab.utils.distributed import Distributed


class TrainState:
    """A phase in progress, which starts from the current weights of the model.

    The clips of a step depend only on seed, phase and step number, so the step number suffices to resume. Drop-path
    masks also depend on the rank.
    """

    def __init__(
        self, config: Config, world: Distributed, model: VOSModel, mixture: Mixture, *, best: float = -1.0
    ) -> None:
        """Create the state before the first step, with the best score of the phases before it."""
        self.config, self.world, self.model, self.mixture = config, world, model, mixture
        self.phase, settings = mixture.phase, config.train
        self.output = Path(str(settings.output))
        self.index = [phase.name for phase in settings.phases].index(self.phase.name)
        self.loss = find_loss(settings.loss)
        groups = parameter_groups(model, self.phase.weight_decay, settings.encoder_lr_ratio)
        self.optimizer = torch.optim.AdamW(groups, self.phase.lr)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=settings.precision == "float16")
        self.ema = average_weights(model, self.phase.steps, settings.ema)
        self.averaged = cast(VOSModel, self.ema.module)
        """Model with the averaged weights."""
        self.step = 0
        """Number of finished optimizer steps."""
        self.skipped = 0
        """Number of non-finite steps in a row before this one, 0 again when the run is resumed."""
        self.validated = 0
        """Step of the last validation of this phase."""
        self.best = best
        """Best first score of all validations so far on the same videos, in percent."""
        self.resumed_from: Path | None = None
        """Saved state from which this run has resumed the phase."""

    @property
    def total_step(self) -> int:
        """Number of finished steps, counted over all phases of the recipe."""
        return sum(phase.steps for phase in self.config.train.phases[: self.index]) + self.step

    @property
    def first_step_on_predictions(self) -> int:
        """Step from which memory stores predictions, and identity banks are frozen."""
        after = self.phase.feed_predictions_after
        return int(after * self.phase.steps) if after < 1 else self.phase.steps

    def is_due(self, every: int) -> bool:
        """Return True every N steps, and after the last step of the phase; 0: only after the last."""
        return self.step == self.phase.steps or (every > 0 and self.step % every == 0)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `load_state_dict`."""
        return {
            "phase": self.index,
            "step": self.step,
            "model": self.model.state_dict(),
            "ema": list_trained(self.averaged),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "validated": self.validated,
            "best": self.best,
        }

    def load_state_dict(self, content: dict[str, Any]) -> None:
        """Continue from the content of a saved state."""
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        if content["scaler"]:  # empty unless it was float16
            self.scaler.load_state_dict(content["scaler"])
        self.averaged.load_state_dict(content["model"] | content["ema"])
        self.step, self.validated, self.best = content["step"], content["validated"], content["best"]
        self.ema.n_averaged.fill_(1 + self.step)
