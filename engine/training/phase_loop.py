"""Loop over the steps of a training phase: logging, saving, validation, stopping."""

from __future__ import annotations

import logging
import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from torch import nn

from aotlab.dataloaders.training.labelled import LabelledVideo
from aotlab.dataloaders.training.mixture import ClipTensors, Mixture, clip_loader
from aotlab.engine.training.clip_training import ClipLearner
from aotlab.engine.training.journal.writing import Journal
from aotlab.engine.training.phase_state import (
    NotFinite,
    PhaseState,
    card_of,
    not_finite,
    save_state,
    saved_states,
)
from aotlab.engine.training.training_step import train_step
from aotlab.engine.training.validation import validate
from aotlab.networks.weights.checkpoints import save_checkpoint
from aotlab.utils.distributed import World, noticing_lost_ranks
from aotlab.utils.errors import InputError, RunStopped, out_of_memory

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingRun:
    """State shared by all phases of a run."""

    output: Path
    videos: list[LabelledVideo]
    """validation videos"""
    journal: Journal
    stop: threading.Event
    """flag that stops the run"""
    command: str
    """command line, for the model card"""


def run_steps(run: TrainingRun, state: PhaseState, mixture: Mixture) -> None:
    """Train a phase from ``state.step`` to its last step.

    Raises:
        RunStopped: non-finite loss or gradient, Ctrl-C, SIGTERM, lost rank, no disk space. The message names
            the newest state.
    """
    world, steps, settings = state.world, state.phase.steps, state.config.train
    with noticing_lost_ranks():
        learner = wrap(ClipLearner(state.model, state.config.memory), world)
    batches = clip_loader(
        mixture, state.step, rank=world.rank, ranks=world.ranks, parts=settings.accumulate,
        pin_memory=world.device.type == "cuda",
    )  # fmt: skip
    skipped = 0
    with run.journal.phase(state.phase.name, steps, state.step):
        while state.step < steps:
            with saved_when_stopped(run, state):
                done = step_once(run, state, learner, batches, may_skip=skipped < settings.skip_not_finite)
                stopping = world.mean([float(run.stop.is_set())])[0] > 0
            skipped = 0 if done else skipped + 1
            if stopping:
                stop(run, state, "interrupted", together=True)
            if state.step < steps:
                if state.step % settings.save_every == 0 and world.lead:
                    save(run, state)
                if settings.validate_every and state.step % settings.validate_every == 0:
                    validate_averaged(run, state)


def wrap(learner: ClipLearner, world: World) -> nn.Module:
    """Return the learner, wrapped in DDP if there are several ranks."""
    if world.ranks == 1:
        return learner
    # Layouts of 1×1 kernels have two names; values are copied either way.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    # The identity bank is frozen within a phase, and decoding a reference frame may need no gradient.
    devices = [world.device.index] if world.device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(learner, device_ids=devices, find_unused_parameters=True)


def step_once(
    run: TrainingRun, state: PhaseState, learner: nn.Module, batches: Iterator[ClipTensors], *, may_skip: bool
) -> bool:
    """Run and report one step; return False if it was skipped as not finite; raises `NotFinite` unless ``may_skip``."""
    try:
        result = train_step(state, learner, batches)
    except NotFinite as error:
        if not may_skip:
            raise
        state.step += 1
        log.warning("%s; step skipped, weights unchanged", error)
        reason = {"event": "skipped", "reason": str(error)}
        run.journal.note({**reason, "phase": state.phase.name, "step": state.step})
        return False
    state.seconds += result.measures["step_seconds"]
    run.journal.step(state.step, mean_measures(result.measures, state.world))
    every = state.config.train.image_every
    if every and (state.step % every == 0 or state.step == state.phase.steps):
        run.journal.images(state.step, result.clip, result.predictions)
    return True


def mean_measures(own: dict[str, float], world: World) -> dict[str, float]:
    """Return the means of the measures of all ranks; IoU over the ranks that have one."""
    known = float(not math.isnan(own["iou"]))
    *means, share = world.mean([*{**own, "iou": own["iou"] if known else 0.0}.values(), known])
    measures = dict(zip(own, means, strict=True))
    return {**measures, "iou": measures["iou"] / share if share else math.nan}


@contextmanager
def saved_when_stopped(run: TrainingRun, state: PhaseState) -> Iterator[None]:
    """Turn errors of the block into a stopped run with a saved state, except bad input before the first step."""
    try:
        yield
    except NotFinite as error:
        advice = "train.skip_not_finite=5 skips up to 5 such steps in a row"
        stop(run, state, f"{error}; {advice}", together=True)
    except RunStopped as error:
        stop(run, state, str(error))
    except InputError as error:  # data that vanished or broke
        if state.step == 0 and state.index == 0:
            raise
        stop(run, state, str(error))
    except (MemoryError, RuntimeError) as error:
        if out_of_memory(error):
            stop(
                run, state, "out of memory; raise train.accumulate, or set train.checkpoint_activations=true"
            )
        if state.world.ranks == 1:
            raise
        # A lost rank shows up as an error in the next exchange.
        stop(run, state, f"lost contact between ranks ({str(error).splitlines()[0]})")


def stop(run: TrainingRun, state: PhaseState, reason: str, *, together: bool = False) -> NoReturn:
    """Save the state and stop the run.

    ``together``: all ranks stop here, and the lead saves. Otherwise ranks may be lost, and each rank saves: their
    weights are equal.
    """
    outcome = (
        f"the state after step {state.step} of {state.phase.name} is saved in {run.output}, "
        "the same command resumes from it"
    )
    if state.world.lead or not together:
        try:
            save(run, state)
        except RunStopped as error:
            outcome = str(error)
    if together:
        outcome = state.world.gather(outcome)[0]
    run.journal.note({"event": "stopped", "phase": state.phase.name, "step": state.step, "reason": reason})
    raise RunStopped(f"{reason}; {outcome}")


def save(run: TrainingRun, state: PhaseState) -> None:
    """Save the state of the run.

    Raises:
        RunStopped: the state cannot be written, or weights are not finite; earlier states are kept.
    """
    try:
        save_state(state, run.output)
    except (InputError, NotFinite) as error:
        states = saved_states(run.output)
        newest = states[0] if states else "the beginning, as no state was saved"
        raise RunStopped(f"{error}; the same command resumes from {newest}") from error


def save_weights(run: TrainingRun, state: PhaseState, name: str, *, half: bool = False) -> None:
    """Write the current model with its card to ``name.safetensors``; raises `RunStopped` if that fails."""
    try:
        card = card_of(state, run.command)
        save_checkpoint(run.output / f"{name}.safetensors", state.model, state.config, half=half, card=card)
    except InputError as error:
        raise RunStopped(f"{error}; the same command tries again") from error


def validate_averaged(run: TrainingRun, state: PhaseState) -> None:
    """Score the averaged weights on the validation videos, if any, and keep the best.

    Raises:
        RunStopped: averaged weights are not finite, or a rank is lost.
    """
    if not run.videos:
        return
    with saved_when_stopped(run, state), state.ema.applied(state.model):
        broken = not_finite(state.ema.shadow)
        if broken:
            raise NotFinite(f"the averaged weights after step {state.step} are not finite ({broken[0]})")
        scores = validate(state.model, state.config, run.videos, state.world)
        run.journal.scores(state.step, scores)
        state.scores = scores
        if scores["J&F"] > state.best:
            state.best = scores["J&F"]
            if state.world.lead:
                save_weights(run, state, "best")
