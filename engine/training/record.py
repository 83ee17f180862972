"""Record of a training run, for its saved states and the model card of its weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aotlab.configs.plugins import describe_code
from aotlab.dataloaders.training.mixture import describe_mixture, describe_source
from aotlab.dataloaders.training.phases import VALIDATION
from aotlab.engine.training.build import describe_start_weights
from aotlab.engine.training.listener import StepResult, TrainingListener
from aotlab.engine.training.model_card import ModelCard, PhaseRecord, parse_card
from aotlab.engine.training.state import TrainState
from aotlab.networks.fast.optimize import resolve_precision
from aotlab.utils.provenance import describe_versions

log = logging.getLogger(__name__)


class RunRecord(TrainingListener):
    """Data, command, versions, times and scores of a run.

    Args:
        fingerprints: those of the data, from `TrainingData.fingerprints`.
        command: command line.
        phases: phases that were trained before the run.
    """

    def __init__(self, fingerprints: Mapping[str, str], command: str, phases: Sequence[PhaseRecord]) -> None:
        self.fingerprints, self.command, self.program = fingerprints, command, describe_versions()
        self.phases = list(phases)
        """Complete phases."""
        self.checkpoint: Path | None = None
        """Averaged weights of the last phase."""
        self._begin_phase()

    def _begin_phase(self) -> None:
        self.seconds = 0.0
        """Seconds spent in the steps of the phase."""
        self.scores: dict[str, float] = {}
        """Scores of the last validation of the phase, in percent."""
        self.resumed: list[str] = []
        """Sentences about settings and data that changed when the phase was resumed."""

    def stepped(self, state: TrainState, result: StepResult) -> None:
        """Add the time of the step."""
        self.seconds += result.metrics.get("step_seconds", 0.0)

    def validated(self, state: TrainState, scores: dict[str, float]) -> None:
        """Store the scores."""
        self.scores = scores

    def ended(self, state: TrainState, reason: str | None) -> None:
        """Add the phase to the complete ones."""
        self.phases = self.card(state).phases
        self._begin_phase()

    def card(self, state: TrainState) -> ModelCard:
        """Return the card of the averaged weights up to the current step."""
        settings, phase, world = state.config.train, state.phase, state.world
        files = [f"files of {name}: {value}" for name, value in self._phase_fingerprints(state).items()]
        record = PhaseRecord(
            name=phase.name, steps=state.step, planned=phase.steps, hours=self.seconds / 3600, batch=phase.batch,
            clip_length=phase.clip_length, crop=phase.crop, data=[*describe_mixture(state.mixture), *files],
            seed=settings.seed, precision=resolve_precision(settings.precision, world.device),
            device=f"{world.world_size} × {world.device.type}",
            start=self.phases[-1].name if self.phases else describe_start_weights(state.config),
            command=self.command, program=self.program, code=describe_code(state.config), scores=self.scores,
            resumed=self.resumed,
        )  # fmt: skip
        return ModelCard(phases=[*self.phases, record])

    def _phase_fingerprints(self, state: TrainState) -> dict[str, str]:
        """Return the fingerprints of the phase's sources and of the validation videos."""
        return {name: self.fingerprints[name] for name in (*map(describe_source, state.phase.sources), VALIDATION)}

    def state_dict(self, state: TrainState) -> dict[str, Any]:
        """Return the record of a phase in progress for `load_state_dict`, with the settings of the run."""
        return {
            "config": state.config.model_dump(),
            "program": self.program,
            "code": describe_code(state.config),
            "fingerprints": self._phase_fingerprints(state),
            "seconds": self.seconds,
            "scores": self.scores,
            "resumed": self.resumed,
            "earlier": ModelCard(phases=self.phases).to_json(),
        }

    def load_state_dict(
        self, content: dict[str, Any], changes: Mapping[str, tuple[Any, Any]], state: TrainState
    ) -> None:
        """Continue from the content of a saved state; log and record what has changed since.

        Args:
            changes: saved and current value of each changed setting.
            state: phase that has loaded the same content; its best score counts only for the same validation videos.
        """
        earlier, current = content["fingerprints"], self._phase_fingerprints(state)
        values = {f"{name}=": change for name, change in changes.items()}
        values |= {f"other images or masks in {name}: ": (earlier.get(name, now), now) for name, now in current.items()}
        code = describe_code(state.config)
        known = content.get("code", dict.fromkeys(code, "unknown"))
        values |= {f"other code of {name}: ": (known.get(name, now), now) for name, now in code.items()}
        values |= {f"{name} ": (before, self.program.get(name)) for name, before in content["program"].items()}
        sentences = [
            f"resumed at step {state.step} of {state.phase.name} with {name}{now} (was {before})"
            for name, (before, now) in values.items()
            if now != before
        ]
        for sentence in sentences:
            log.warning("%s", sentence)
        self.resumed = content["resumed"] + sentences
        self.seconds = content["seconds"]
        if earlier[VALIDATION] == current[VALIDATION]:
            self.scores = content["scores"]
        else:
            state.validated, state.best = 0, -1.0
        card = parse_card(content["earlier"])
        self.phases = card.phases if card is not None else []
