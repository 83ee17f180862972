"""Model card of a training run."""

from __future__ import annotations

from pathlib import Path

from aotlab.configs.paths import setting_path
from aotlab.configs.schema import Config
from aotlab.engine.training.phase_state import PhaseState
from aotlab.networks.kernels.tuning import fastest_precision
from aotlab.networks.weights.checkpoints import read_card
from aotlab.networks.weights.model_card import AVERAGED, ModelCard, PhaseRecord
from aotlab.networks.weights.zoo import resolve

SECONDS_OF_HOUR = 3600


def card_of(state: PhaseState, config: Config, command: str) -> ModelCard:
    """Return the card of the averaged weights of a phase, up to its current step."""
    settings, phase, world = config.train, state.phase, state.world
    precision = fastest_precision(settings.precision, world.device)
    record = PhaseRecord(
        name=phase.name, steps=state.step, planned=phase.steps, hours=state.seconds / SECONDS_OF_HOUR,
        batch=phase.batch, clip_length=phase.clip_length, crop=phase.crop,
        data=state.data,
        seed=settings.seed, precision=precision, device=f"{world.ranks} × {world.device.type}",
        start=state.earlier[-1].name if state.earlier else _first_weights(config), command=command, scores=state.scores,
    )  # fmt: skip
    return ModelCard([*state.earlier, record], AVERAGED)


def start_phases(config: Config) -> list[PhaseRecord]:
    """Return the phases recorded in ``train.start_from``; empty if unset or without a card."""
    start = config.train.start_from
    card = read_card(resolve(setting_path(start))) if start is not None else None
    return card.phases if card is not None else []


def _first_weights(config: Config) -> str:
    """Return the file name of the initial weights, without machine-specific folders."""
    settings = config.train
    if settings.start_from is not None:
        return setting_path(settings.start_from).name
    if settings.encoder_weights is None:
        first = "random weights"
    else:
        first = f"ImageNet weights of the encoder ({Path(settings.encoder_weights).name})"
    return (
        first
        if settings.warm_start is None
        else f"{setting_path(settings.warm_start).name} where weights fit, {first}"
    )
