"""A training phase in progress, and the model card of its weights."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import torch

from aotlab.configs.schema import Config
from aotlab.dataloaders.training.mixture import Mixture, describe_mixture, describe_source
from aotlab.dataloaders.training.phases import VALIDATION
from aotlab.engine.training.build import describe_start_weights
from aotlab.engine.training.model_card import ModelCard, PhaseRecord, parse_card
from aotlab.engine.training.optimization import average_weights, find_loss, list_trained, parameter_groups
from aotlab.networks.fast.optimize import resolve_precision
from aotlab.networks.model import VOSModel
from aotlab.utils.distributed import Distributed

log = logging.getLogger(__name__)


class PhaseState:
    """A phase in progress, which starts from the current weights of the model.

    The clips of a step depend only on seed, phase and step number, so the step number suffices to resume. Drop-path
    masks also depend on the rank.
    """

    def __init__(
        self,
        config: Config,
        world: Distributed,
        model: VOSModel,
        mixture: Mixture,
        *,
        fingerprints: Mapping[str, str] | None = None,
        command: str = "",
        program: Mapping[str, str] = MappingProxyType({}),
        previous: PhaseState | None = None,
        earlier_phases: Sequence[PhaseRecord] = (),
    ) -> None:
        """Create the state before the first step.

        Args:
            mixture: data of the phase.
            fingerprints: those of the data, from `TrainingData.fingerprints`.
            command: command line, for the card.
            program: versions and commit, for the card.
            previous: the phase that was run before it.
            earlier_phases: phases that were trained before it, for the card.
        """
        self.config, self.world, self.model, self.mixture = config, world, model, mixture
        self.phase, self.command, self.program = mixture.phase, command, dict(program)
        settings = config.train
        self.index = [phase.name for phase in settings.phases].index(self.phase.name)
        self.output = Path(str(settings.output))
        self.loss = find_loss(settings.loss)
        groups = parameter_groups(model, self.phase.weight_decay, settings.encoder_lr_ratio)
        self.optimizer = torch.optim.AdamW(groups, self.phase.lr)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=settings.precision == "float16")
        self.ema = average_weights(model, self.phase.steps, settings.ema)
        self.averaged = cast(VOSModel, self.ema.module)
        """Model with the averaged weights."""
        fed_after = self.phase.feed_predictions_after
        self.first_fed_step = int(fed_after * self.phase.steps) if fed_after < 1 else self.phase.steps
        """Step from which memory stores predictions, and identity banks are frozen."""
        self.step = 0
        """Number of finished optimizer steps."""
        self.skipped = 0
        """Number of non-finite steps in a row before this one, 0 again when the run is resumed."""
        self.best: float = previous.best if previous else -1.0
        """Best J&F of all validations so far on the same videos."""
        self.unreadable: Counter[str] = previous.unreadable if previous else Counter()
        """Unreadable items of all phases and ranks: one sentence each, with the number of draws."""
        self.seconds = 0.0
        """Seconds spent in the steps of this phase."""
        self.scores: dict[str, float] = {}
        """Last validation scores of this phase, in percent."""
        self.validated = 0
        """Step of the last validation of this phase."""
        self.resumed: list[str] = []
        """Sentences about settings and data that changed when the phase was resumed."""
        self.resumed_from: Path | None = None
        """Saved state from which this run has resumed the phase."""
        names = [*map(describe_source, self.phase.sources), VALIDATION]
        self.fingerprints = {name: fingerprints[name] for name in names} if fingerprints else {}
        """Fingerprints of this phase's sources and of the validation videos."""
        contents = [f"files of {name}: {value}" for name, value in self.fingerprints.items()]
        self.data = [*describe_mixture(mixture), *contents]
        """Training data of this phase, one line per source, and the fingerprints."""
        self.earlier_phases = list(earlier_phases)

    def is_due(self, every: int) -> bool:
        """Return True every N steps, and after the last step of the phase; 0: only after the last."""
        return self.step == self.phase.steps or (every > 0 and self.step % every == 0)

    def card(self) -> ModelCard:
        """Return the card of the averaged weights up to the current step."""
        settings, phase, world = self.config.train, self.phase, self.world
        record = PhaseRecord(
            name=phase.name, steps=self.step, planned=phase.steps, hours=self.seconds / 3600, batch=phase.batch,
            clip_length=phase.clip_length, crop=phase.crop, data=self.data, seed=settings.seed,
            precision=resolve_precision(settings.precision, world.device),
            device=f"{world.ranks} × {world.device.type}",
            start=self.earlier_phases[-1].name if self.earlier_phases else describe_start_weights(self.config),
            command=self.command, program=self.program, scores=self.scores, resumed=self.resumed,
        )  # fmt: skip
        return ModelCard([*self.earlier_phases, record])

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `load_state_dict`, with the settings it depends on."""
        return {
            "config": asdict(self.config),
            "program": self.program,
            "fingerprints": self.fingerprints,
            "phase": self.index,
            "step": self.step,
            "model": self.model.state_dict(),
            "ema": list_trained(self.averaged),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "best": self.best,
            "unreadable": dict(self.unreadable),
            "seconds": self.seconds,
            "scores": self.scores,
            "validated": self.validated,
            "resumed": self.resumed,
            "earlier": ModelCard(self.earlier_phases).to_json(),
        }

    def load_state_dict(self, content: dict[str, Any], changes: Mapping[str, tuple[Any, Any]]) -> None:
        """Continue from the content of a saved state; log and record what has changed since.

        ``changes``: saved and current value of each changed setting.
        """
        earlier = content["fingerprints"]
        sentences = [f"{name}={now} (was {before})" for name, (before, now) in changes.items()]
        sentences += [
            f"other images or masks in {name}: {now} (was {earlier[name]})"
            for name, now in self.fingerprints.items()
            if name in earlier and now != earlier[name]
        ]
        sentences += [
            f"{name} {now} (was {before})"
            for name, before in content.get("program", {}).items()
            if (now := self.program.get(name)) != before
        ]
        place = f"step {content['step']} of {self.phase.name}"
        sentences = [f"resumed at {place} with {sentence}" for sentence in sentences]
        for sentence in sentences:
            log.warning("%s", sentence)
        self.resumed = content["resumed"] + sentences
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        if content["scaler"]:  # empty unless it was float16
            self.scaler.load_state_dict(content["scaler"])
        self.averaged.load_state_dict(content["model"] | content["ema"])
        self.step, self.seconds = content["step"], content["seconds"]
        self.ema.n_averaged.fill_(1 + self.step)
        self.unreadable = Counter(content["unreadable"])
        if earlier[VALIDATION] == self.fingerprints[VALIDATION]:
            self.best, self.scores, self.validated = content["best"], content["scores"], content["validated"]
        card = parse_card(content["earlier"])
        self.earlier_phases = card.phases if card is not None else []
