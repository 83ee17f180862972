"""Training: the phases of a recipe in order, each a loop of steps."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from aotlab.configs.schema import Config
from aotlab.dataloaders.labeled_video import Video
from aotlab.dataloaders.training.mixture import ClipTensors, build_clip_loader
from aotlab.engine.training.build import build_training_model, open_data, read_start_phases, resolve_training
from aotlab.engine.training.clip import (
    ClipBatch,
    ClipLosses,
    ClipModule,
    ClipOptions,
    draw_permutations,
    mean_iou,
)
from aotlab.engine.training.listener import StepResult, TrainingListener
from aotlab.engine.training.logs import make_logs
from aotlab.engine.training.losses import count_hard_pixels
from aotlab.engine.training.optimization import (
    group_rate,
    learning_rate,
    reference_loss_weight,
    set_learning_rates,
)
from aotlab.engine.training.printer import Printer
from aotlab.engine.training.record import RunRecord
from aotlab.engine.training.saved_states import (
    STATES,
    SharedStop,
    list_earlier_files,
    load_state,
    save_on_failure,
    save_state,
    stop_if_interrupted,
)
from aotlab.engine.training.state import TrainState
from aotlab.engine.training.validation import validate_if_due, write_weights
from aotlab.networks.fast.optimize import resolve_precision
from aotlab.utils.devices import autocast
from aotlab.utils.distributed import Distributed, detect_lost_ranks
from aotlab.utils.files import remove
from aotlab.utils.locks import remove_leftovers
from aotlab.utils.signals import StopFlag, stop_flag

log = logging.getLogger(__name__)


def train(
    config: Config,
    world: Distributed,
    *,
    restart: bool = False,
    command: str = "",
    logs: Sequence[str] | None = None,
    listeners: Sequence[TrainingListener] = (),
) -> RunRecord:
    """Train all phases of ``config``, which every rank calls, and return the record of the run.

    Args:
        restart: start over, even if the output folder has a state to resume.
        command: command line, for the model card.
        logs: names of logs beside ``log.jsonl``: csv, tensorboard, wandb; None: tensorboard, if it is installed.
        listeners: called at each moment of the run, after its record and logs.

    Raises:
        InputError: missing data or weights, or the output folder is not writable, holds another run, or is in use by
            another process.
        RunStopped: non-finite loss or gradient, Ctrl-C, SIGTERM, lost rank, unreadable image or mask, no disk space.
    """
    with world.share_errors():
        config = resolve_training(config)
        run_logs = [*make_logs(logs), Printer()] if world.is_main else []
    output = Path(str(config.train.output))
    with world.lock_output(output):
        with world.share_errors():
            data = open_data(config, world)
            saved = None if restart else load_state(output, config, data.mixtures)
            fingerprints = (
                data.fingerprints(saved.content["phase"] if saved is not None else 0) if world.is_main else {}
            )
            torch.manual_seed(config.train.seed)
            model = build_training_model(config, world.device, is_resumed=saved is not None)
            start_phases = read_start_phases(config) if saved is None else []
            earlier_files = list_earlier_files(config, output) if restart else []
        if world.is_main:
            for path in earlier_files:  # only now that the new run is known to be valid
                remove(path)
            for folder in (output, output / STATES):
                remove_leftovers(folder)
        record = RunRecord(world.gather(fingerprints)[0], command, start_phases)
        listeners, best = [record, *run_logs, *listeners], -1.0
        with stop_flag() as stop:
            for index, mixture in data.mixtures.items():
                if saved is not None and index < saved.content["phase"]:
                    continue
                state = TrainState(config, world, model, mixture, best=best)
                if saved is not None:
                    state.load_state_dict(saved.content)
                    record.load_state_dict(saved.content, saved.changes, state)
                    state.resumed_from = saved.path
                    saved = None  # frees its tensors
                record.checkpoint = output / f"{state.phase.name}.safetensors"
                is_finished = state.step >= state.phase.steps and record.checkpoint.exists()
                with save_on_failure(state, record, listeners):
                    train_phase(state, record, data.validation, stop, listeners)
                    if not is_finished:
                        write_weights(state, record, record.checkpoint, half=config.train.half_weights)
                best = state.best
        if is_finished:
            log.warning("%s: already finished, nothing to train; --restart starts over", output)
        return record


def train_phase(
    state: TrainState, record: RunRecord, videos: list[Video], stop: StopFlag, listeners: Sequence[TrainingListener]
) -> None:
    """Train a phase to its end, after which the model has its averaged weights; arguments as `validate_if_due`."""
    clip_module = None
    for listener in listeners:
        listener.began(state)
    validate_if_due(state, record, videos, stop, listeners)  # missed by the run that is resumed
    with closing(build_batches(state)) as batches:
        while state.step < state.phase.steps:
            if clip_module is None or state.step == state.first_step_on_predictions:  # other weights get gradients
                clip_module = wrap_ddp(state)
            result = train_step(state, clip_module, batches)
            for listener in listeners:
                listener.stepped(state, result)
            stop_if_interrupted(stop, state.world)
            is_saved = validate_if_due(state, record, videos, stop, listeners)
            if not is_saved and state.world.is_main and state.is_due(state.config.train.save_every):
                save_state(state, record, listeners)
    state.model.load_state_dict(state.averaged.state_dict())


def build_batches(state: TrainState) -> Generator[ClipTensors, None, None]:
    """Return the micro-batches of this rank from ``state.step`` on."""
    world = state.world
    return build_clip_loader(
        state.mixture, state.step, rank=world.rank, ranks=world.world_size, micro_batches=state.config.train.accumulate,
        pin_memory=world.device.type == "cuda",
    )  # fmt: skip


def wrap_ddp(state: TrainState) -> nn.Module:
    """Return the pass over clips, in DDP if there are several ranks, up to or from `first_step_on_predictions`."""
    clip_module, world = ClipModule(state.model, state.config.memory), state.world
    uses_predictions = state.step >= state.first_step_on_predictions
    if world.world_size == 1:
        return clip_module
    # 1×1 kernels are contiguous in both layouts; values are copied either way.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    with detect_lost_ranks():
        ddp = nn.parallel.DistributedDataParallel(
            clip_module,
            device_ids=[world.device.index] if world.device.type == "cuda" else None,
            # identity banks while memory stores predictions, and blocks beyond model.depth; DDP warns if all are used
            find_unused_parameters=uses_predictions or state.model.config.depth is not None,
        )
    ddp.broadcast_buffers = False  # they never change; as an argument it is deprecated since PyTorch 2.13
    return ddp


def train_step(state: TrainState, clip_module: nn.Module, batches: Iterator[ClipTensors]) -> StepResult:
    """Run one optimizer step on the next ``train.accumulate`` micro-batches; skip it if it is not finite.

    ``clip_module``: from `wrap_ddp`. Raises `SharedStop` on all ranks, with weights and step number unchanged, if more
    than ``train.max_nonfinite_steps`` steps in a row are not finite.
    """
    start = time.perf_counter()
    rates, reference_weight = begin_step(state)
    losses_by_batch: list[Tensor] = []  # total, of reference frames, of tracked frames, and each term
    ious: list[Tensor] = []
    clip_names: list[str] = []
    data_seconds = 0.0
    for index in range(state.config.train.accumulate):
        wait_start = time.perf_counter()
        batch = next(batches)
        data_seconds += time.perf_counter() - wait_start
        clip_names += [name for names in batch.names for name in names]
        clip = to_device(batch, state.world.device)
        loss, losses = run_micro_batch(state, clip_module, clip, index, reference_weight)
        with torch.no_grad():
            terms = [reference_weight * term[0].mean() + term[1:].mean() for term in losses.terms.values()]
            losses_by_batch.append(torch.stack([loss, losses.reference.mean(), losses.tracked.mean(), *terms]))
            ious += [
                mean_iou(mask, target, clip.object_counts)
                for mask, target in zip(losses.predictions[1:], clip.target_indices[1:], strict=True)
            ]
    values = [*torch.stack(losses_by_batch).mean(0), torch.stack(ious).nanmean()]
    names = ("loss", "reference_loss", "tracked_loss", *(f"loss_{name}" for name in losses.terms), "iou")
    means = dict(zip(names, torch.stack(values).tolist(), strict=True))  # copied from the device at once
    mean_loss = state.world.mean([means["loss"]])[0]
    result = StepResult({}, clip, losses.predictions)
    if not math.isfinite(mean_loss):
        return replace(result, skipped=skip_step(state, "loss", [] if math.isfinite(means["loss"]) else clip_names))
    norm = update_weights(state)
    if norm is None:
        return replace(result, skipped=skip_step(state, "gradient", clip_names))
    seconds = {"data_seconds": data_seconds, "step_seconds": time.perf_counter() - start}
    metrics = mean_over_ranks({**means, **rates, "gradient_norm": norm, **seconds}, state.world)
    state.step, state.skipped = state.step + 1, 0
    state.ema.update_parameters(state.model)
    return replace(result, metrics=metrics)


def begin_step(state: TrainState) -> tuple[dict[str, float], float]:
    """Seed dropout, set learning rates and training mode, and clear gradients.

    Returns the learning rates, and the weight of the loss on reference frames.
    """
    phase, settings = state.phase, state.config.train
    # From seed, phase, step and rank, so that a resumed run draws the same.
    key = np.random.SeedSequence([settings.seed, state.index, state.step, state.world.rank])
    torch.manual_seed(int(key.generate_state(1)[0]))
    state.model.train()
    state.optimizer.zero_grad(set_to_none=True)
    assert phase.final_lr is not None  # resolve_training
    rate = learning_rate(
        state.step, phase.steps, peak=phase.lr, final=phase.final_lr, warmup=settings.warmup,
        power=settings.power,
    )  # fmt: skip
    set_learning_rates(state.optimizer, rate, final=phase.final_lr)
    encoder_rate = group_rate(rate, final=phase.final_lr, lr_ratio=settings.encoder_lr_ratio)
    reference_weight = reference_loss_weight(state.step, phase.steps, phase.reference_loss_until)
    return {"lr": rate, "encoder_lr": encoder_rate}, reference_weight


def to_device(batch: ClipTensors, device: torch.device) -> ClipBatch:
    """Move a batch to ``device``."""
    frames = batch.frames.to(device, non_blocking=True).movedim(-1, 2)
    return ClipBatch(frames.float() / 255, batch.target_indices.to(device, non_blocking=True), batch.num_objects)


def run_micro_batch(
    state: TrainState, clip_module: nn.Module, clip: ClipBatch, index: int, reference_weight: float
) -> tuple[Tensor, ClipLosses]:
    """Add the gradients of micro-batch ``index`` of a step; return the minimized loss, a scalar, and its parts."""
    settings, world = state.config.train, state.world
    options = select_clip_options(state, clip, index, reference_weight)
    is_last = index == settings.accumulate - 1
    accumulating = isinstance(clip_module, nn.parallel.DistributedDataParallel) and not is_last
    with clip_module.no_sync() if accumulating else nullcontext():  # type: ignore[operator]
        with autocast(world.device, resolve_precision(settings.precision, world.device)):
            loss, losses = clip_module(clip, options)
        # DDP exchanges gradients here
        with detect_lost_ranks() if world.world_size > 1 else nullcontext():
            state.scaler.scale(loss / settings.accumulate).backward()
    return loss.detach(), losses


def select_clip_options(state: TrainState, clip: ClipBatch, micro_batch: int, reference_weight: float) -> ClipOptions:
    """Return the options of micro-batch ``micro_batch`` of a step."""
    phase, settings, world = state.phase, state.config.train, state.world
    hard_pixel_count = count_hard_pixels(
        clip.target_indices[0, 0].numel(), state.step, phase.steps,
        fraction=settings.hardest_pixels, reached_after=settings.hardest_pixels_after,
    )  # fmt: skip
    # Drawn for the whole batch, so that it does not depend on ranks and micro-batches.
    key = np.random.SeedSequence([settings.seed, state.index, state.step])
    generator = torch.Generator().manual_seed(int(key.generate_state(1)[0]))
    batch_permutations = draw_permutations(phase.batch, state.config.model.max_objects, generator)
    permutations = batch_permutations.split(len(clip.object_counts))[micro_batch * world.world_size + world.rank]
    use_predictions = state.step >= state.first_step_on_predictions
    return ClipOptions(permutations.to(world.device), hard_pixel_count, use_predictions, reference_weight, state.loss)


def update_weights(state: TrainState) -> float | None:
    """Clip gradients and update the weights; return the norm before clipping.

    None: the norm is not finite, for another reason than float16 scaling; weights are unchanged.
    """
    scaler = state.scaler
    scaler.unscale_(state.optimizer)
    norm = float(nn.utils.clip_grad_norm_(state.model.parameters(), state.config.train.clip_gradients))
    # A scale above 1 may overflow; the scaler then skips the step and lowers the scale.
    is_usable = math.isfinite(norm) or (scaler.is_enabled() and scaler.get_scale() > 1)
    if is_usable:
        scaler.step(state.optimizer)
    scaler.update()
    return norm if is_usable else None


def skip_step(state: TrainState, part: str, clip_names: list[str]) -> str:
    """Count a step whose ``part`` is not finite on these clips of this rank; return the reason, or raise it."""
    names = ", ".join(sorted({name for rank in state.world.gather(clip_names) for name in rank}))
    reason = f"the {part} of step {state.step + 1} is not finite on clips of {names}"
    state.skipped += 1
    if state.skipped > state.config.train.max_nonfinite_steps:
        more = 2 * state.config.train.max_nonfinite_steps + 5
        raise SharedStop(f"{reason}; train.max_nonfinite_steps={more} skips up to {more} such steps in a row")
    state.step += 1
    log.warning("%s; step skipped, weights unchanged", reason)
    return reason


def mean_over_ranks(metrics: dict[str, float], world: Distributed) -> dict[str, float]:
    """Return the means of the metrics of all ranks; IoU over the ranks that have one."""
    has_iou = not math.isnan(metrics["iou"])
    values = {**metrics, "iou": metrics["iou"] if has_iou else 0.0}.values()
    *means, iou_share = world.mean([*values, float(has_iou)])
    rank_means = dict(zip(metrics, means, strict=True))
    return {**rank_means, "iou": rank_means["iou"] / iou_share if iou_share else math.nan}
