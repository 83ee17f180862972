"""Training: the phases of a recipe in order, each a loop of steps that is saved, validated and resumed."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from aotlab.configs.files import resolve_path
from aotlab.configs.methods import find_method
from aotlab.configs.schema import Config
from aotlab.dataloaders.benchmarks.labeled_video import Video
from aotlab.dataloaders.training.mixture import ClipTensors, Mixture, build_clip_loader, split_batch
from aotlab.dataloaders.training.phases import open_phases
from aotlab.engine.training.build import build_training_model, read_start_phases
from aotlab.engine.training.clip import ClipModule
from aotlab.engine.training.failures import save_on_failure, stop_if_interrupted
from aotlab.engine.training.journal import Journal
from aotlab.engine.training.state import (
    NonFiniteError,
    PhaseState,
    list_saved_states,
    load_state,
    save_state,
    states_folder,
)
from aotlab.engine.training.step import train_step
from aotlab.engine.training.validation import validate
from aotlab.networks.preprocess import round_to_grid
from aotlab.networks.weights.checkpoints import save_checkpoint
from aotlab.utils.distributed import Distributed, detect_lost_ranks
from aotlab.utils.errors import require
from aotlab.utils.files import remove
from aotlab.utils.locks import remove_leftovers
from aotlab.utils.signals import StopFlag, stop_flag

log = logging.getLogger(__name__)

BEST = "best"
"""Name of the weights with the best validation score; a phase's weights have its name."""
FINAL_LEARNING_RATES = {"mobilenet_v2": 2e-5}
"""Final learning rate by encoder; 1e-5 for all others."""


@dataclass(frozen=True)
class TrainResult:
    """Results of a finished run."""

    checkpoint: Path
    """Averaged weights of the last phase."""
    unreadable: Counter[str]
    """Unreadable items: one sentence each, with the number of draws."""


@dataclass(frozen=True)
class TrainingRun:
    """State shared by all phases of a run."""

    output: Path
    videos: list[Video]
    """Validation videos."""
    journal: Journal
    stop: StopFlag
    """Flag that stops the run."""


def train(config: Config, world: Distributed, *, restart: bool = False, command: str = "") -> TrainResult:
    """Train all phases of ``config``; every rank calls it.

    Args:
        restart: start over, even if the output folder has a state to resume.
        command: command line, for the model card.

    Raises:
        InputError: missing data or weights, or the output folder is not writable, holds another run, or is in use by
            another process.
        RunStopped: non-finite loss or gradient, Ctrl-C, SIGTERM, lost rank, no disk space for a state.
    """
    config = resolve_training(config)
    output = Path(str(config.train.output))
    with world.lock_output(output):
        if world.is_main:
            for folder in (output, states_folder(output)):
                remove_leftovers(folder)
        data = open_phases(config)
        for mixture in data.mixtures.values():  # a batch that cannot be split is an error before the first step
            split_batch(mixture.phase, world.ranks, config.train.accumulate)
        saved = None if restart else load_state(output, config, data.mixtures)
        fingerprints = data.fingerprints(saved.phase if saved is not None else 0) if world.is_main else {}
        fingerprints = world.gather(fingerprints)[0]
        torch.manual_seed(config.train.seed)
        initial = config
        if saved is not None:  # its weights replace those that the settings name
            settings = replace(config.train, start_from=None, encoder_weights=None, warm_start=None)
            initial = replace(config, train=settings)
        model, start_phases = build_training_model(initial, world.device), read_start_phases(initial)
        if restart:  # after everything that may be wrong with the new run
            remove_earlier_run(config, output, world)
        state: PhaseState | None = None
        journal = Journal(output, config.train.phases, is_main=world.is_main, log_every=config.train.log_every)
        with stop_flag() as stop, closing(journal):
            run = TrainingRun(output, data.validation, journal, stop)
            for index, mixture in data.mixtures.items():
                if saved is not None and index < saved.phase:
                    continue
                state = PhaseState(
                    config, world, model, mixture, fingerprints=fingerprints, command=command, previous=state,
                    start_phases=start_phases,
                )  # fmt: skip
                if saved is not None:
                    state.resume(saved)
                    saved = None  # frees its tensors
                    if state.step >= mixture.phase.steps and index == max(data.mixtures):
                        log.warning("%s: already finished, nothing to train; --restart starts over", output)
                train_phase(run, state, mixture)
        assert state is not None
        return TrainResult(output / f"{state.phase.name}.safetensors", state.unreadable)


def resolve_training(config: Config) -> Config:
    """Fill in defaults that depend on method and encoder, and round crops to the model's grid.

    Raises:
        InputError: two phases would write to the same files.
    """
    for name, count in Counter([BEST, *(phase.name for phase in config.train.phases)]).items():
        require(
            count == 1, f"{name}.safetensors would be written twice", subject="train.phases", remedy="rename a phase"
        )
    final_lr = FINAL_LEARNING_RATES.get(config.model.encoder, 1e-5)
    phases = [
        replace(
            phase,
            final_lr=final_lr if phase.final_lr is None else phase.final_lr,
            augmentation=phase.augmentation or find_method(config.model.method).augmentation,
            crop=round_to_grid(phase.crop, align_corners=config.model.align_corners),
        )
        for phase in config.train.phases
    ]
    output = config.train.output or f"runs/{config.name}"
    return replace(config, train=replace(config.train, phases=phases, output=output))


def remove_earlier_run(config: Config, output: Path, world: Distributed) -> None:
    """Remove the states, logs and best weights of an earlier run; the other ranks wait for the main one.

    Other files in their folders are kept. Raises `InputError` if the new run starts from one of these files.
    """
    logs = [output / "log.jsonl", *(output / "tensorboard").glob("events.out.tfevents.*")]
    files = [*logs, output / f"{BEST}.safetensors", *list_saved_states(output)]
    for start in filter(None, (config.train.start_from, config.train.warm_start)):
        is_removed = resolve_path(start).resolve() in {path.resolve() for path in files}
        require(
            not is_removed, "--restart would remove it", subject=start, remedy="copy it, or give another train.output"
        )
    for path in files if world.is_main else ():
        remove(path)
    world.gather(None)


def train_phase(run: TrainingRun, state: PhaseState, mixture: Mixture) -> None:
    """Train one phase from ``state.step`` to its end; the model then holds its averaged weights.

    Raises:
        RunStopped: see `train`.
    """
    world, settings, steps = state.world, state.config.train, state.phase.steps
    with detect_lost_ranks():
        clip_module = wrap_ddp(ClipModule(state.model, state.config.memory), world)
    batches = build_clip_loader(
        mixture, state.step, rank=world.rank, ranks=world.ranks, micro_batches=settings.accumulate,
        pin_memory=world.device.type == "cuda",
    )  # fmt: skip
    with run.journal.phase(state.phase.name, state.step):
        with save_on_failure(state, run.journal, run.output):
            validate_if_due(run, state)
        while state.step < steps:
            with save_on_failure(state, run.journal, run.output):
                run_step(run, state, clip_module, batches)
                stop_if_interrupted(run.stop, world)
                validate_if_due(run, state)
            if world.is_main and is_due(state, settings.save_every):
                save_state(state, run.output)
    state.ema.copy_to(state.model)
    if world.is_main:
        save_weights(run, state, state.phase.name, half=settings.half_weights)


def run_step(run: TrainingRun, state: PhaseState, clip_module: nn.Module, batches: Iterator[ClipTensors]) -> None:
    """Train one step and log it; a non-finite step is skipped, up to ``train.max_nonfinite_steps`` in a row.

    Raises:
        NonFiniteError: one more step is non-finite.
    """
    settings = state.config.train
    try:
        result = train_step(state, clip_module, batches)
    except NonFiniteError as error:
        state.skipped += 1
        if state.skipped > settings.max_nonfinite_steps:
            raise
        state.step += 1
        log.warning("%s; step skipped, weights unchanged", error)
        run.journal.log_skipped(state.step, str(error))
        return
    state.skipped = 0
    state.seconds += result.metrics["step_seconds"]
    run.journal.log_step(state.step, result.metrics)
    if settings.image_every and is_due(state, settings.image_every):
        run.journal.log_images(state.step, result.clip, result.predictions)


def is_due(state: PhaseState, every: int) -> bool:
    """Return whether an action is due that is done every N steps and after the last step; 0: only after the last."""
    return state.step == state.phase.steps or (every > 0 and state.step % every == 0)


def wrap_ddp(clip_module: ClipModule, world: Distributed) -> nn.Module:
    """Return the module, wrapped in DDP if there are several ranks."""
    if world.ranks == 1:
        return clip_module
    # 1×1 kernels are contiguous in both layouts; values are copied either way.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    ddp = nn.parallel.DistributedDataParallel(
        clip_module,
        device_ids=[world.device.index] if world.device.type == "cuda" else None,
        # identity banks are not trained while predictions are fed, and a reference frame's loss may need no gradient
        find_unused_parameters=True,
    )
    ddp.broadcast_buffers = False  # they never change; as an argument it is deprecated since PyTorch 2.13
    return ddp


def validate_if_due(run: TrainingRun, state: PhaseState) -> None:
    """Score the averaged weights on the validation videos, and keep the best weights.

    Runs a missed validation on resume.
    """
    due = state.step > state.validated and is_due(state, state.config.train.validate_every)
    if not run.videos or not due:
        return
    with state.ema.applied(state.model):
        state.scores = validate(state.model, state.config, run.videos, state.world)
        state.validated = state.step
        run.journal.log_scores(state.step, state.scores)
        if state.scores["J&F"] > state.best:
            state.best = state.scores["J&F"]
            if state.world.is_main:
                save_weights(run, state, BEST)


def save_weights(run: TrainingRun, state: PhaseState, name: str, *, half: bool = False) -> None:
    """Write the current model with its card to ``name.safetensors``; raises `InputError` if that fails."""
    path = run.output / f"{name}.safetensors"
    save_checkpoint(path, state.model, state.config, half=half, card=state.card().to_json())
