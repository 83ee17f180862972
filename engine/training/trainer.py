"""Training: the phases of a recipe in order, with averaged weights and resumable state."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch

from aotlab.configs.protocol import resolve_training
from aotlab.configs.schema import Config
from aotlab.dataloaders.training.mixture import Mixture, describe_mixture
from aotlab.dataloaders.training.phases import open_phases
from aotlab.engine.training.build import build_model, start_phases
from aotlab.engine.training.journal.writing import Journal
from aotlab.engine.training.phase_loop import TrainingRun, run_steps, save, save_weights, validate_averaged
from aotlab.engine.training.phase_state import PhaseState, card_of, load_state, restore, states_folder
from aotlab.utils.distributed import World
from aotlab.utils.files import remove, require_writable
from aotlab.utils.locks import locked_output, remove_leftovers
from aotlab.utils.processes import stop_flag


@dataclass(frozen=True)
class Trained:
    """Results of a finished run."""

    checkpoint: Path
    """averaged weights of the last phase"""
    replaced: Counter[str]
    """unreadable items: one sentence each, with the number of draws"""


def train(config: Config, world: World, *, restart: bool = False, command: str = "") -> Trained:
    """Train all phases of ``config``; every rank calls it.

    Args:
        restart: start over; otherwise the newest usable state in the output folder is resumed, if any.
        command: command line, for the model card.

    Raises:
        InputError: missing data or weights, or the output folder is not writable, holds another run, or is in use by
            another process.
        RunStopped: non-finite loss or gradient, Ctrl-C, SIGTERM, lost rank, no disk space. The message names
            the newest state.
    """
    config = resolve_training(config)
    output = require_writable(Path(str(config.train.output)))
    with locked_output(output, world):
        if world.lead:
            for folder in (output, states_folder(output), output / "images"):
                remove_leftovers(folder)
            if restart:
                for folder in (states_folder(output), output / "tensorboard", output / "log.jsonl"):
                    remove(folder)
        world.gather(None)  # the others look for states when the lead has removed them
        return run_phases(config, world, output, command=command)


def run_phases(config: Config, world: World, output: Path, *, command: str) -> Trained:
    """Run the phases of a recipe in a locked output folder; see `train`."""
    data = open_phases(config)
    saved = load_state(output, config)
    torch.manual_seed(config.train.seed)
    model = build_model(config).to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state: PhaseState | None = None
    opened = Journal(output, lead=world.lead, log_every=config.train.log_every)
    with stop_flag() as stop, closing(opened) as journal:
        run = TrainingRun(output, data.validation, journal, stop, command)
        for index, mixture in data.mixtures.items():
            if saved is not None and index < saved["phase"]:
                continue
            before, state = state, PhaseState(config, world, index, model)
            state.data = describe_mixture(mixture)
            if before is not None:
                state.best, state.replaced = before.best, before.replaced
                state.earlier = card_of(before, command).phases
            else:
                state.earlier = start_phases(config)
            if saved is not None:
                restore(state, saved)
                saved = None
            run_phase(run, state, mixture)
    assert state is not None
    return Trained(output / f"{state.phase.name}.safetensors", sum(world.gather(state.replaced), Counter()))


def run_phase(run: TrainingRun, state: PhaseState, mixture: Mixture) -> None:
    """Train one phase from ``state.step`` to its end; the model then holds its averaged weights."""
    if state.step < state.phase.steps:
        run_steps(run, state, mixture)
        if state.world.lead:
            save(run, state)  # the following steps read videos, which may fail
        validate_averaged(run, state)
        if state.world.lead:
            save(run, state)
    state.ema.copy_to(state.model)
    if state.world.lead:
        save_weights(run, state, state.phase.name, half=state.config.train.half_weights)
