"""A training phase in progress, and its way to disk and back."""

from __future__ import annotations

import logging
import pickle
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from aotlab.configs.load import to_yaml
from aotlab.configs.schema import Config
from aotlab.configs.training import PhaseConfig
from aotlab.engine.training.build import architecture
from aotlab.engine.training.ema import EMA
from aotlab.networks.model_card import ModelCard, PhaseRecord, card_from_json
from aotlab.networks.vos_model import VOSModel
from aotlab.utils.distributed import World
from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path

log = logging.getLogger(__name__)


@dataclass
class Run:
    """A phase in progress.

    All randomness of a step follows from the seed, the phase and the step number, and so does the data it sees:
    the step number is all that has to be known of either to go on.
    """

    phase: PhaseConfig
    index: int
    """number of the phase in the recipe"""
    model: VOSModel
    optimizer: torch.optim.AdamW
    scaler: torch.amp.GradScaler
    ema: EMA
    world: World
    step: int = 0
    """optimiser steps done"""
    best: float = -1.0
    """highest J&F of a validation so far, in all phases"""
    replaced: Counter[str] = field(default_factory=Counter)
    """one sentence for each item that could not be read, in all phases, and how often it was drawn"""
    seconds: float = 0.0
    """spent in the steps of this phase"""
    scores: dict[str, float] = field(default_factory=dict)
    """last validation of this phase, in percent"""
    earlier: list[PhaseRecord] = field(default_factory=list)
    """phases behind the weights that this one began from"""


def save_state(run: Run, config: Config, output: Path) -> Path:
    """Write all that `restore` needs; drop what is older than the ``train.keep`` newest.

    Raises:
        InputError: the disk is full or not writable; what was saved before is untouched.
    """
    state = {
        "config": to_yaml(config),
        "architecture": str(architecture(config)),
        "phase": run.index,
        "step": run.step,
        "model": run.model.state_dict(),
        "ema": run.ema.shadow,
        "optimizer": run.optimizer.state_dict(),
        "scaler": run.scaler.state_dict(),
        "best": run.best,
        "replaced": dict(run.replaced),
        "seconds": run.seconds,
        "scores": run.scores,
        "earlier": ModelCard(run.earlier).to_json(),
    }
    path = states_folder(output) / f"{run.index}_{run.phase.name}_{run.step:06d}.pt"
    with atomic_path(path) as temporary:
        torch.save(state, temporary)
    for old in saved_states(output)[config.train.keep :]:
        old.unlink()
    return path


def states_folder(output: Path) -> Path:
    """Where a run keeps its states."""
    return output / "states"


def saved_states(output: Path) -> list[Path]:
    """The saved states of a run, newest first."""

    def age(path: Path) -> tuple[int, int]:
        first, last = path.stem.split("_", 1)[0], path.stem.rsplit("_", 1)[-1]
        return int(first), int(last)

    return sorted(states_folder(output).glob("[0-9]*_*_[0-9]*.pt"), key=age, reverse=True)


def load_state(output: Path, config: Config) -> dict[str, Any] | None:
    """The newest state that can be read, or None where there is none; unreadable ones are named in the log.

    Raises:
        InputError: no state can be read, or the states are of another architecture or another list of phases.
    """
    paths = saved_states(output)
    for path in paths:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError) as error:
            log.warning("%s: truncated or damaged (%s); trying the one before", path, type(error).__name__)
            continue
        if state["architecture"] != str(architecture(config)):
            raise InputError(
                f"{path}: this run trains another architecture than the recipe given; "
                "resume with the recipe it began with, or give another train.output"
            )
        name = f"{state['phase']}_{_phase_name(config, state['phase'])}"
        if not path.stem.startswith(f"{name}_"):
            raise InputError(
                f"{path}: the recipe given has no such phase at this place; "
                "resume with the recipe it began with, or give another train.output"
            )
        return state
    if paths:
        raise InputError(
            f"{states_folder(output)}: none of {len(paths)} saved states can be read; start anew"
        )
    return None


def restore(run: Run, state: dict[str, Any]) -> None:
    """Put a phase back to where `save_state` left it."""
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scaler.load_state_dict(state["scaler"])
    run.ema.shadow = {name: tensor.to(run.world.device) for name, tensor in state["ema"].items()}
    run.step = state["step"]
    run.best = state["best"]
    run.replaced = Counter(state["replaced"])
    run.seconds, run.scores = state.get("seconds", 0.0), state.get("scores", {})
    card = card_from_json(state.get("earlier"))
    run.earlier = card.phases if card is not None else []


def _phase_name(config: Config, index: int) -> str | None:
    """Name of the phase at this place of the recipe."""
    phases = config.train.phases
    return phases[index].name if index < len(phases) else None
