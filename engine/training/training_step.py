"""One optimiser step: its clips, losses, gradients and what they change."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from aotlab.configs.schema import Config
from aotlab.dataloaders.preprocess import normalise
from aotlab.dataloaders.training.mixture import ClipTensors
from aotlab.engine.training.clip_training import ClipBatch, ClipLosses, Lesson, mean_iou, shuffled_slots
from aotlab.engine.training.losses import hardest_count
from aotlab.engine.training.run_state import Run
from aotlab.engine.training.schedule import learning_rate, reference_loss_weight
from aotlab.utils.devices import autocast


@dataclass(frozen=True)
class StepResult:
    """What came of an optimiser step, on this rank."""

    loss: float
    reference_loss: float
    tracked_loss: float
    iou: float
    """of the tracked frames, 0 to 1"""
    gradient_norm: float
    """before clipping"""
    clip: ClipBatch
    """the last part of the batch"""
    predictions: list[Tensor]
    """its masks, B×H×W per frame"""


class NotFinite(ArithmeticError):  # noqa: N818
    """The loss of a step is infinite or not a number; nothing was changed."""


def train_step(config: Config, run: Run, learner: nn.Module, batches: Iterator[ClipTensors]) -> StepResult:
    """One optimiser step on the next ``train.accumulate`` parts of a batch.

    Args:
        config: the recipe.
        run: the phase; its model, optimiser, average and step number change.
        learner: its `ClipLearner`, wrapped in DDP where there are several ranks.
        batches: this rank's parts.

    Raises:
        NotFinite: on all ranks, with the names of the clips of all ranks.
    """
    parts = config.train.accumulate
    seed_step(config, run)
    set_learning_rates(config, run)
    prepare(run, own_predictions(run))
    run.optimizer.zero_grad(set_to_none=True)
    results: list[tuple[float, ClipLosses, ClipBatch]] = []
    for part in range(parts):
        batch = next(batches)
        run.replaced.update(batch.replaced)
        clip = to_device(batch, run.world.device)
        lesson, weight = plan_lesson(config, run, clip, part)
        apart = isinstance(learner, nn.parallel.DistributedDataParallel) and part < parts - 1
        with learner.no_sync() if apart else nullcontext():  # type: ignore[operator]
            with autocast(run.world.device, config.train.precision):
                loss, losses = learner(clip, lesson, weight)
            require_finite(run, loss, batch)
            run.scaler.scale(loss / parts).backward()
        results.append((loss.item(), losses, clip))
    norm = optimise(config, run)
    return summary(results, norm)


def own_predictions(run: Run) -> bool:
    """Whether the model remembers its own masks at this step instead of the true ones."""
    start = run.phase.own_predictions_from
    return start < 1 and run.step >= int(start * run.phase.steps)


def prepare(run: Run, own: bool) -> None:
    """Training mode; once the model feeds on its own masks, the identities they are written in stay put."""
    for stage in run.model.stages:
        stage.train_identities(not own)
    run.model.train()


def seed_step(config: Config, run: Run) -> None:
    """Seed dropout from the run's seed, phase, step and rank, so that a resumed run draws what it would have."""
    key = np.random.SeedSequence([config.train.seed, run.index, run.step, run.world.rank])
    torch.manual_seed(int(key.generate_state(1)[0]))


def plan_lesson(config: Config, run: Run, clip: ClipBatch, part: int) -> tuple[Lesson, float]:
    """How this part of a batch is run, and the weight of the loss on its reference frames."""
    phase, settings, world = run.phase, config.train, run.world
    hardest = hardest_count(
        clip.labels[0, 0].numel(), run.step, phase.steps,
        part=settings.hardest_pixels, reached_at=settings.hardest_pixels_at,
    )  # fmt: skip
    weight = reference_loss_weight(run.step, phase.steps, phase.reference_loss_until)
    # Drawn for the whole batch, so that it does not matter how ranks and parts share it.
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + run.step)
    slots = shuffled_slots(phase.batch, config.model.max_objects, generator)
    own = slots.split(len(clip.objects))[part * world.ranks + world.rank]
    return Lesson(own.to(world.device), hardest, own_predictions(run), reference_gradient=weight > 0), weight


def require_finite(run: Run, loss: Tensor, batch: ClipTensors) -> None:
    """Raise on all ranks when the loss of one is not finite."""
    value = loss.item()
    if math.isfinite(run.world.mean([value])[0]):
        return
    guilty = sorted({name for names in batch.names for name in names}) if not math.isfinite(value) else []
    names = [name for rank in run.world.gather(guilty) for name in rank]
    raise NotFinite(f"the loss of step {run.step + 1} is {value} on clips of {', '.join(names)}")


def optimise(config: Config, run: Run) -> float:
    """Clip the gradients, change the weights and their average; returns the norm before clipping."""
    run.scaler.unscale_(run.optimizer)
    norm = nn.utils.clip_grad_norm_(run.model.parameters(), config.train.clip_gradients)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.step += 1
    run.ema.update(run.model, run.step)
    return float(norm)


def set_learning_rates(config: Config, run: Run) -> None:
    """Give every parameter group the learning rate of this step."""
    phase, settings = run.phase, config.train
    assert phase.final_lr is not None  # resolve_training
    now = learning_rate(
        run.step, phase.steps, peak=phase.lr, final=phase.final_lr, warmup=settings.warmup,
        power=settings.power, cosine=settings.schedule == "cosine", restarts=settings.restarts,
    )  # fmt: skip
    for group in run.optimizer.param_groups:
        group["lr"] = phase.final_lr + (now - phase.final_lr) * group["lr_ratio"]


def summary(results: list[tuple[float, ClipLosses, ClipBatch]], norm: float) -> StepResult:
    """Means over the parts of a batch."""
    _, last, clip = results[-1]
    ious = [
        mean_iou(mask, truth, part.objects)
        for _, losses, part in results
        for mask, truth in zip(losses.predictions[1:], part.labels[1:], strict=True)
    ]
    known = [iou for iou in ious if not math.isnan(iou)]
    return StepResult(
        loss=sum(loss for loss, _, _ in results) / len(results),
        reference_loss=sum(losses.reference.mean().item() for _, losses, _ in results) / len(results),
        tracked_loss=sum(losses.tracked.mean().item() for _, losses, _ in results) / len(results),
        iou=sum(known) / len(known) if known else float("nan"),
        gradient_norm=norm,
        clip=clip,
        predictions=last.predictions,
    )


def to_device(batch: ClipTensors, device: torch.device) -> ClipBatch:
    """Normalised images and labels on ``device``."""
    frames = batch.frames.to(device, non_blocking=True).movedim(-1, 2)
    images = normalise(frames.float() / 255)
    return ClipBatch(images, batch.labels.to(device, non_blocking=True), batch.objects)
