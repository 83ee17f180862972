"""Training: the phases of a recipe one after the other, with averaged weights and resumable state."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from aotlab.configs.published import resolve_training
from aotlab.configs.schema import Config
from aotlab.configs.training import PhaseConfig
from aotlab.dataloaders.training.mixture import Mixture, open_mixture
from aotlab.engine.training.build import build_model
from aotlab.engine.training.card import card_of, start_phases
from aotlab.engine.training.ema import EMA
from aotlab.engine.training.journal import open_journal
from aotlab.engine.training.phase_loop import Job, measure, run_steps, save
from aotlab.engine.training.run_state import Run, load_state, restore, saved_states
from aotlab.engine.training.schedule import parameter_groups
from aotlab.engine.training.validation import validation_videos
from aotlab.networks.checkpoints import save_checkpoint
from aotlab.networks.vos_model import VOSModel
from aotlab.utils.distributed import World
from aotlab.utils.errors import InputError
from aotlab.utils.files import require_writable
from aotlab.utils.signals import stop_flag


@dataclass(frozen=True)
class Trained:
    """What a run leaves behind."""

    checkpoint: Path
    """averaged weights of the last phase"""
    replaced: Counter[str]
    """one sentence for each item that could not be read, and how often it was drawn"""


def train(config: Config, world: World, *, resume: bool = False, command: str = "") -> Trained:
    """Train through the phases of ``config``; every rank calls it.

    Args:
        config: the recipe.
        world: this process among all.
        resume: go on from the newest good state in the output folder, if there is one.
        command: what started this process, for the model card.

    Raises:
        InputError: missing data or weights, an output folder that cannot be written or holds another run.
        RunStopped: a loss that is not finite, Ctrl-C, SIGTERM, a lost rank, a full disk; the state is saved.
    """
    config = resolve_training(config)
    output = require_writable(Path(str(config.train.output)))
    mixtures = open_phases(config)
    videos = validation_videos(config)
    saved = find_state(config, output, resume)
    torch.manual_seed(config.train.seed)
    model = build_model(config).to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    run: Run | None = None
    opened = open_journal(output, lead=world.lead, log_every=config.train.log_every)
    with stop_flag() as stop, closing(opened) as journal:
        job = Job(config, world, output, videos, journal, stop, command)
        for index, mixture in mixtures.items():
            if saved is not None and index < saved["phase"]:
                continue
            before, run = run, begin_phase(config, world, index, mixture.phase, model)
            if before is not None:
                run.best, run.replaced = before.best, before.replaced
                run.earlier = card_of(before, config, command).phases
            else:
                run.earlier = start_phases(config)
            if saved is not None:
                restore(run, saved)
                saved = None
            run_phase(job, run, mixture)
    assert run is not None
    return Trained(checkpoint_path(output, run.phase), sum(world.gather(run.replaced), Counter()))


def open_phases(config: Config) -> dict[int, Mixture]:
    """The data of every phase that shall run, by its place in the recipe.

    Raises:
        InputError: no phase, an unknown one in ``train.run``, or one whose data is missing.
    """
    settings = config.train
    names = [phase.name for phase in settings.phases]
    if not names:
        raise InputError(
            "train.phases: this config names no phase; use a recipe such as configs/recipes/mini.yaml"
        )
    unknown = [name for name in settings.run if name not in names]
    if unknown:
        raise InputError(f"train.run: no phase is called {unknown[0]}; the recipe has {', '.join(names)}")
    return {
        index: open_mixture(config.data, phase, settings.seed, max_objects=config.model.max_objects)
        for index, phase in enumerate(settings.phases)
        if not settings.run or phase.name in settings.run
    }


def find_state(config: Config, output: Path, resume: bool) -> dict[str, Any] | None:
    """The state to go on from.

    Raises:
        InputError: it does not fit, or the folder holds a run that nobody asked to resume.
    """
    if resume:
        return load_state(output, config)
    if saved_states(output):
        raise InputError(
            f"{output}: holds a run already; add --resume to go on with it, or give another train.output"
        )
    return None


def begin_phase(config: Config, world: World, index: int, phase: PhaseConfig, model: VOSModel) -> Run:
    """Optimiser and average for a phase that starts from the model as it is."""
    # The phase before may have ended with its identities at rest.
    for stage in model.stages:
        stage.train_identities(True)
    groups = parameter_groups(model, phase.weight_decay, config.train.encoder_lr_ratio)
    optimizer = torch.optim.AdamW(groups, lr=phase.lr)
    scaler = torch.amp.GradScaler(world.device.type, enabled=config.train.precision == "float16")
    return Run(phase, index, model, optimizer, scaler, EMA(model, phase.steps, config.train.ema), world)


def run_phase(job: Job, run: Run, mixture: Mixture) -> None:
    """Train one phase from ``run.step`` to its end, and leave the model with its averaged weights."""
    if run.step < run.phase.steps:
        run_steps(job, run, mixture)
        save(job, run)  # what follows reads videos, which may fail
        measure(job, run)
        save(job, run)
    run.ema.copy_to(run.model)
    if job.world.lead:
        save_checkpoint(
            checkpoint_path(job.output, run.phase), run.model, job.config,
            half=job.config.train.half_weights, card=card_of(run, job.config, job.command),
        )  # fmt: skip


def checkpoint_path(output: Path, phase: PhaseConfig) -> Path:
    """Where the averaged weights of a finished phase are."""
    return output / f"{phase.name}.safetensors"
