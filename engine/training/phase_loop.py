"""The steps of one training phase: when to log, save, validate and stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch
from torch import nn

from aotlab.configs.schema import Config
from aotlab.dataloaders.training.labelled import LabelledVideo
from aotlab.dataloaders.training.mixture import ClipTensors, Mixture, clip_loader
from aotlab.engine.training.card import card_of
from aotlab.engine.training.clip_training import ClipLearner
from aotlab.engine.training.journal import Journal, StepMeasures
from aotlab.engine.training.run_state import Run, save_state, saved_states
from aotlab.engine.training.training_step import NotFinite, StepResult, train_step
from aotlab.engine.training.validation import validate
from aotlab.networks.checkpoints import save_checkpoint
from aotlab.utils.distributed import World
from aotlab.utils.errors import InputError, RunStopped


@dataclass(frozen=True)
class Job:
    """What all phases of a run share."""

    config: Config
    world: World
    output: Path
    videos: list[LabelledVideo]
    """to validate on"""
    journal: Journal
    stop: threading.Event
    """set when the run shall end"""
    command: str = ""
    """what started this process, for the model card"""


@dataclass
class Awaited:
    """Batches, and the seconds spent waiting for them."""

    batches: Iterator[ClipTensors]
    seconds: float = 0.0

    def __iter__(self) -> Iterator[ClipTensors]:
        return self

    def __next__(self) -> ClipTensors:
        begin = time.perf_counter()
        batch = next(self.batches)
        self.seconds += time.perf_counter() - begin
        return batch


def run_steps(job: Job, run: Run, mixture: Mixture) -> None:
    """Train a phase from ``run.step`` to its last step.

    Raises:
        RunStopped: a loss that is not finite, Ctrl-C, SIGTERM, a lost rank, a full disk; the state is saved.
    """
    settings, world, steps = job.config.train, job.world, run.phase.steps
    learner = wrap(ClipLearner(run.model, job.config.memory), world)
    loader = clip_loader(
        mixture, run.step, rank=world.rank, ranks=world.ranks, parts=settings.accumulate,
        pin_memory=world.device.type == "cuda",
    )  # fmt: skip
    batches = Awaited(loader)
    with job.journal.phase(run.phase.name, steps, run.step):
        while run.step < steps:
            begin, waited = time.perf_counter(), batches.seconds
            result = guarded_step(job, run, learner, batches)
            seconds = time.perf_counter() - begin
            run.seconds += seconds
            report(job, run, result, seconds, batches.seconds - waited)
            if run.step % settings.save_every == 0 and run.step < steps:
                save(job, run)
            if settings.validate_every and run.step % settings.validate_every == 0 and run.step < steps:
                measure(job, run)


def wrap(learner: ClipLearner, world: World) -> nn.Module:
    """The learner, or DDP around it where there are several ranks."""
    if world.ranks == 1:
        return learner
    # Identities come to rest within a phase, and a reference frame's decoding may need no gradient.
    devices = [world.device.index] if world.device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(
        learner, device_ids=devices, broadcast_buffers=False, find_unused_parameters=True
    )


def guarded_step(job: Job, run: Run, learner: nn.Module, batches: Iterator[ClipTensors]) -> StepResult:
    """One step; what goes wrong in it, or a wish to stop, ends the run with its state saved."""
    try:
        result = train_step(job.config, run, learner, batches)
        wish = job.world.mean([float(job.stop.is_set())])[0] > 0
    except NotFinite as error:
        stop(job, run, str(error))
    except RunStopped as error:
        stop(job, run, str(error))
    except torch.OutOfMemoryError:
        stop(job, run, "out of memory; raise train.accumulate, or set train.checkpoint_activations=true")
    except RuntimeError as error:
        if job.world.ranks == 1:
            raise
        # Its partners notice a rank that died as an error in the next exchange.
        stop(job, run, f"the ranks lost one another ({str(error).splitlines()[0]})")
    if wish:
        stop(job, run, "interrupted")
    return result


def stop(job: Job, run: Run, reason: str) -> NoReturn:
    """Save the state and end the run."""
    save(job, run)
    job.journal.note({"event": "stopped", "phase": run.phase.name, "step": run.step, "reason": reason})
    raise RunStopped(
        f"{reason}; the state after step {run.step} of {run.phase.name} is saved in {job.output}, "
        "--resume goes on from it"
    )


def save(job: Job, run: Run) -> None:
    """Save the state of the run on the lead rank.

    Raises:
        RunStopped: it cannot be written; earlier states are untouched.
    """
    if not job.world.lead:
        return
    try:
        save_state(run, job.config, job.output)
    except InputError as error:
        states = saved_states(job.output)
        newest = f"{states[0]}" if states else "the beginning, as nothing was saved before"
        raise RunStopped(f"{error}; --resume goes on from {newest}") from error


def report(job: Job, run: Run, result: StepResult, seconds: float, waited: float) -> None:
    """Tell the journal what came of a step, as means over the ranks."""
    known = result.iou == result.iou
    loss, reference, tracked, iou, share, *times = job.world.mean(
        [result.loss, result.reference_loss, result.tracked_loss, result.iou if known else 0.0, float(known),
         waited, seconds]
    )  # fmt: skip
    rates = {group["lr_ratio"]: group["lr"] for group in run.optimizer.param_groups}
    measures = StepMeasures(
        step=run.step, loss=loss, reference_loss=reference, tracked_loss=tracked,
        iou=iou / share if share else float("nan"), lr=rates[1.0], encoder_lr=rates[min(rates)],
        gradient_norm=result.gradient_norm, data_seconds=times[0], step_seconds=times[1],
    )  # fmt: skip
    job.journal.step(measures)
    pictures = job.config.train.picture_every
    if pictures and (run.step % pictures == 0 or run.step == run.phase.steps):
        job.journal.pictures(run.step, result.clip, result.predictions)


def measure(job: Job, run: Run) -> None:
    """Score the averaged weights on the validation videos, if there are any, and keep the best."""
    if not job.videos:
        return
    with run.ema.applied(run.model):
        scores = validate(run.model, job.config, job.videos, job.world)
        job.journal.scores(run.phase.name, run.step, scores)
        run.scores = scores
        if scores["J&F"] > run.best:
            run.best = scores["J&F"]
            if job.world.lead:
                card = card_of(run, job.config, job.command)
                save_checkpoint(job.output / "best.safetensors", run.model, job.config, card=card)
