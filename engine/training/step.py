"""One optimizer step: clips, losses, gradients, update."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from aotlab.dataloaders.training.mixture import ClipTensors
from aotlab.engine.training.clip import (
    ClipBatch,
    ClipLosses,
    ClipOptions,
    count_hard_pixels,
    draw_permutations,
    mean_iou,
)
from aotlab.engine.training.schedule import group_rate, learning_rate, reference_loss_weight
from aotlab.engine.training.state import NonFiniteError, PhaseState
from aotlab.networks.fast.optimize import resolve_precision
from aotlab.networks.preprocess import normalize
from aotlab.utils.devices import autocast
from aotlab.utils.distributed import Distributed, detect_lost_ranks


@dataclass(frozen=True)
class StepResult:
    """Metrics and masks of an optimizer step."""

    metrics: dict[str, float]
    """Means over the ranks: losses, in total and of reference and tracked frames; IoU of tracked objects, 0 to 1, nan
    without objects; learning rates; norm of the gradient before clipping; seconds of waiting for data and of the step.
    """
    clip: ClipBatch
    """Last micro-batch."""
    predictions: list[Tensor]
    """Predicted masks of that micro-batch, B×H×W per frame."""


def train_step(state: PhaseState, clip_module: nn.Module, batches: Iterator[ClipTensors]) -> StepResult:
    """Run one optimizer step on the next ``train.accumulate`` micro-batches.

    Args:
        state: phase whose model, optimizer, average and step number are updated.
        clip_module: its `ClipModule`, wrapped in DDP if there are several ranks.
        batches: micro-batches of this rank.

    Raises:
        NonFiniteError: raised on all ranks, with the clips of all ranks; weights and step number are unchanged.
    """
    start = time.perf_counter()
    rates = begin_step(state)
    losses_by_batch: list[Tensor] = []  # 3 each: total, of reference frames, of tracked frames
    ious: list[Tensor] = []
    clip_names: list[str] = []
    unreadable: list[str] = []
    data_seconds = 0.0
    for index in range(state.config.train.accumulate):
        wait_start = time.perf_counter()
        batch = next(batches)
        data_seconds += time.perf_counter() - wait_start
        clip_names += [name for names in batch.names for name in names]
        unreadable += batch.unreadable
        clip = to_device(batch, state.world.device)
        loss, losses = run_micro_batch(state, clip_module, clip, index)
        with torch.no_grad():
            losses_by_batch.append(torch.stack([loss, losses.reference.mean(), losses.tracked.mean()]))
            ious += [
                mean_iou(mask, labels, clip.object_counts)
                for mask, labels in zip(losses.predictions[1:], clip.labels[1:], strict=True)
            ]
    values = [*torch.stack(losses_by_batch).mean(0), torch.stack(ious).nanmean()]
    names = ("loss", "reference_loss", "tracked_loss", "iou")
    means = dict(zip(names, torch.stack(values).tolist(), strict=True))  # copied from the device at once
    mean_loss, any_unreadable = state.world.mean([means["loss"], float(len(unreadable))])
    if any_unreadable:
        count_unreadable(state, unreadable)
    if not math.isfinite(mean_loss):
        suspect_clips = state.world.gather([] if math.isfinite(means["loss"]) else clip_names)
        raise NonFiniteError(f"the loss of step {state.step + 1} is not finite on clips of {join_names(suspect_clips)}")
    norm = update_weights(state, clip_names)
    metrics = {
        **means,
        **rates,
        "gradient_norm": norm,
        "data_seconds": data_seconds,
        "step_seconds": time.perf_counter() - start,
    }
    return StepResult(mean_over_ranks(metrics, state.world), clip, losses.predictions)


def run_micro_batch(
    state: PhaseState, clip_module: nn.Module, clip: ClipBatch, index: int
) -> tuple[Tensor, ClipLosses]:
    """Add the gradients of micro-batch ``index`` of a step; return the minimized loss, a scalar, and its parts."""
    options = select_clip_options(state, clip, index)
    settings = state.config.train
    is_last = index == settings.accumulate - 1
    accumulating = isinstance(clip_module, nn.parallel.DistributedDataParallel) and not is_last
    with clip_module.no_sync() if accumulating else nullcontext():  # type: ignore[operator]
        with autocast(state.world.device, resolve_precision(settings.precision, state.world.device)):
            loss, losses = clip_module(clip, options)
        # DDP exchanges gradients here
        with detect_lost_ranks() if state.world.ranks > 1 else nullcontext():
            state.scaler.scale(loss / settings.accumulate).backward()
    return loss.detach(), losses


def count_unreadable(state: PhaseState, messages: list[str]) -> None:
    """Count the unreadable items of a step on all ranks, each of which saves them."""
    for rank_messages in state.world.gather(messages):
        state.unreadable.update(rank_messages)


def begin_step(state: PhaseState) -> dict[str, float]:
    """Seed dropout, set learning rates and training mode, and clear gradients; return the learning rates."""
    phase, settings = state.phase, state.config.train
    # From seed, phase, step and rank, so that a resumed run draws the same.
    key = np.random.SeedSequence([settings.seed, state.index, state.step, state.world.rank])
    torch.manual_seed(int(key.generate_state(1)[0]))
    assert phase.final_lr is not None  # resolve_training
    rate = learning_rate(
        state.step, phase.steps, peak=phase.lr, final=phase.final_lr, warmup=settings.warmup,
        power=settings.power,
    )  # fmt: skip
    for group in state.optimizer.param_groups:
        group["lr"] = group_rate(rate, final=phase.final_lr, lr_ratio=group["lr_ratio"])
    state.model.train()
    state.optimizer.zero_grad(set_to_none=True)
    encoder_rate = group_rate(rate, final=phase.final_lr, lr_ratio=settings.encoder_lr_ratio)
    return {"lr": rate, "encoder_lr": encoder_rate}


def select_clip_options(state: PhaseState, clip: ClipBatch, micro_batch: int) -> ClipOptions:
    """Return the options of a micro-batch."""
    phase, settings, world = state.phase, state.config.train, state.world
    hard_pixel_count = count_hard_pixels(
        clip.labels[0, 0].numel(), state.step, phase.steps,
        fraction=settings.hardest_pixels, reached_after=settings.hardest_pixels_after,
    )  # fmt: skip
    # Drawn for the whole batch, so that it does not depend on ranks and micro-batches.
    key = np.random.SeedSequence([settings.seed, state.index, state.step])
    generator = torch.Generator().manual_seed(int(key.generate_state(1)[0]))
    batch_permutations = draw_permutations(phase.batch, state.config.model.max_objects, generator)
    feed_after = phase.feed_predictions_after
    permutations = batch_permutations.split(len(clip.object_counts))[micro_batch * world.ranks + world.rank]
    return ClipOptions(
        permutations.to(world.device),
        hard_pixel_count,
        feed_after < 1 and state.step >= int(feed_after * phase.steps),
        reference_loss_weight(state.step, phase.steps, phase.reference_loss_until),
    )


def update_weights(state: PhaseState, clip_names: list[str]) -> float:
    """Clip gradients, update weights and their average; return the norm before clipping.

    Raises:
        NonFiniteError: non-finite norm that float16 scaling does not explain; weights are unchanged.
    """
    scaler = state.scaler
    scaler.unscale_(state.optimizer)
    norm = float(nn.utils.clip_grad_norm_(state.model.parameters(), state.config.train.clip_gradients))
    # A scale above 1 may overflow; the scaler then skips the step and lowers the scale.
    if not math.isfinite(norm) and not (scaler.is_enabled() and scaler.get_scale() > 1):
        scaler.update()
        suspect_clips = join_names(state.world.gather(clip_names))
        raise NonFiniteError(f"the gradient of step {state.step + 1} is not finite on clips of {suspect_clips}")
    scaler.step(state.optimizer)
    scaler.update()
    state.step += 1
    state.ema.update(state.model, state.step)
    return norm


def join_names(names: list[list[str]]) -> str:
    """Return the unique names of all ranks."""
    return ", ".join(sorted({name for rank in names for name in rank}))


def mean_over_ranks(metrics: dict[str, float], world: Distributed) -> dict[str, float]:
    """Return the means of the metrics of all ranks; IoU over the ranks that have one."""
    has_iou = not math.isnan(metrics["iou"])
    values = {**metrics, "iou": metrics["iou"] if has_iou else 0.0}.values()
    *means, iou_share = world.mean([*values, float(has_iou)])
    rank_means = dict(zip(metrics, means, strict=True))
    return {**rank_means, "iou": rank_means["iou"] / iou_share if iou_share else math.nan}


def to_device(batch: ClipTensors, device: torch.device) -> ClipBatch:
    """Move a batch to ``device`` and normalize its images."""
    frames = batch.frames.to(device, non_blocking=True).movedim(-1, 2)
    images = normalize(frames.float() / 255)
    return ClipBatch(images, batch.labels.to(device, non_blocking=True), batch.num_objects)
