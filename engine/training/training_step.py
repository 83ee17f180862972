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
from aotlab.dataloaders.training.mixture import ClipTensors
from aotlab.engine.training.clip_training import (
    ClipBatch,
    ClipLosses,
    ClipPlan,
    mean_iou,
    shuffled_identities,
)
from aotlab.engine.training.finite import NotFinite
from aotlab.engine.training.losses import hardest_count
from aotlab.engine.training.phase_state import PhaseState
from aotlab.engine.training.schedule import learning_rate, reference_loss_weight
from aotlab.networks.kernels.tuning import fastest_precision
from aotlab.networks.preprocess import normalise
from aotlab.utils.devices import autocast


@dataclass(frozen=True)
class StepResult:
    """Losses, gradient and masks of an optimiser step, on this rank."""

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


def train_step(
    config: Config, state: PhaseState, learner: nn.Module, batches: Iterator[ClipTensors]
) -> StepResult:
    """One optimiser step on the next ``train.accumulate`` parts of a batch.

    Args:
        config: the recipe.
        state: the phase; its model, optimiser, average and step number change.
        learner: its `ClipLearner`, wrapped in DDP where there are several ranks.
        batches: this rank's parts.

    Raises:
        NotFinite: on all ranks, with the names of the clips of all ranks; weights and step number are as before.
    """
    parts = config.train.accumulate
    precision = fastest_precision(config.train.precision, state.world.device)
    seed_step(config, state)
    set_learning_rates(config, state)
    set_training_mode(state, feeds_predictions(state))
    state.optimizer.zero_grad(set_to_none=True)
    results: list[tuple[float, ClipLosses, ClipBatch]] = []
    clips: list[str] = []
    for part in range(parts):
        batch = next(batches)
        clips += [name for names in batch.names for name in names]
        state.replaced.update(batch.replaced)
        clip = to_device(batch, state.world.device)
        plan, weight = plan_clip(config, state, clip, part)
        accumulating = isinstance(learner, nn.parallel.DistributedDataParallel) and part < parts - 1
        with learner.no_sync() if accumulating else nullcontext():  # type: ignore[operator]
            with autocast(state.world.device, precision):
                loss, losses = learner(clip, plan, weight)
            state.scaler.scale(loss / parts).backward()
        results.append((loss.item(), losses, clip))
    require_finite_loss(state, [loss for loss, _, _ in results], clips)
    return summary(results, optimise(config, state, clips))


def feeds_predictions(state: PhaseState) -> bool:
    """Whether the model remembers its own masks at this step instead of the labels."""
    start = state.phase.own_predictions_from
    return start < 1 and state.step >= int(start * state.phase.steps)


def set_training_mode(state: PhaseState, feeds_predictions: bool) -> None:
    """Training mode; the identity bank is frozen once the masks it embeds are the model's own."""
    for stage in state.model.stages:
        stage.train_identities(not feeds_predictions)
    state.model.train()


def seed_step(config: Config, state: PhaseState) -> None:
    """Seed dropout from the run's seed, phase, step and rank, so that a resumed run draws what it would have."""
    key = np.random.SeedSequence([config.train.seed, state.index, state.step, state.world.rank])
    torch.manual_seed(int(key.generate_state(1)[0]))


def plan_clip(config: Config, state: PhaseState, clip: ClipBatch, part: int) -> tuple[ClipPlan, float]:
    """How this part of a batch is run, and the weight of the loss on its reference frames."""
    phase, settings, world = state.phase, config.train, state.world
    hardest = hardest_count(
        clip.labels[0, 0].numel(), state.step, phase.steps,
        part=settings.hardest_pixels, reached_at=settings.hardest_pixels_at,
    )  # fmt: skip
    weight = reference_loss_weight(state.step, phase.steps, phase.reference_loss_until)
    # Drawn for the whole batch, so that it does not matter how ranks and parts share it.
    generator = torch.Generator().manual_seed((settings.seed * 1_000_003 + state.step) % 2**63)
    drawn = shuffled_identities(phase.batch, config.model.max_objects, generator)
    identities = drawn.split(len(clip.objects))[part * world.ranks + world.rank].to(world.device)
    return ClipPlan(identities, hardest, feeds_predictions(state), reference_gradient=weight > 0), weight


def require_finite_loss(state: PhaseState, losses: list[float], clips: list[str]) -> None:
    """Raise on all ranks when a loss on one is not finite; ``clips``: names of this rank's clips.

    Raises:
        NotFinite: it names the clips of the ranks whose loss is not finite.
    """
    value = sum(losses)
    if math.isfinite(state.world.mean([value])[0]):
        return
    suspects = state.world.gather([] if math.isfinite(value) else clips)
    raise NotFinite(f"the loss of step {state.step + 1} is not finite on clips of {listed(suspects)}")


def optimise(config: Config, state: PhaseState, clips: list[str]) -> float:
    """Clip the gradients, change the weights and their average; returns the norm before clipping.

    Raises:
        NotFinite: the norm is not finite, and not because of the scale of float16; the weights are as before.
    """
    scaler = state.scaler
    scaler.unscale_(state.optimizer)
    norm = float(nn.utils.clip_grad_norm_(state.model.parameters(), config.train.clip_gradients))
    # A scale above 1 may be what overflows: the scaler then passes over the step and lowers the scale.
    if not math.isfinite(norm) and not (scaler.is_enabled() and scaler.get_scale() > 1):
        scaler.update()
        suspects = listed(state.world.gather(clips))
        raise NotFinite(f"the gradient of step {state.step + 1} is not finite on clips of {suspects}")
    scaler.step(state.optimizer)
    scaler.update()
    state.step += 1
    state.ema.update(state.model, state.step)
    return norm


def listed(names: list[list[str]]) -> str:
    """The names of all ranks, each once."""
    return ", ".join(sorted({name for rank in names for name in rank}))


def set_learning_rates(config: Config, state: PhaseState) -> None:
    """Give every parameter group the learning rate of this step."""
    phase, settings = state.phase, config.train
    assert phase.final_lr is not None  # resolve_training
    now = learning_rate(
        state.step, phase.steps, peak=phase.lr, final=phase.final_lr, warmup=settings.warmup,
        power=settings.power, cosine=settings.schedule == "cosine", restarts=settings.restarts,
    )  # fmt: skip
    for group in state.optimizer.param_groups:
        group["lr"] = phase.final_lr + (now - phase.final_lr) * group["lr_ratio"]


def summary(results: list[tuple[float, ClipLosses, ClipBatch]], norm: float) -> StepResult:
    """Means over the parts of a batch."""
    _, last, clip = results[-1]
    ious = [
        mean_iou(mask, labels, part.objects)
        for _, losses, part in results
        for mask, labels in zip(losses.predictions[1:], part.labels[1:], strict=True)
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
