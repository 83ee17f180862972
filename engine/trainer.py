"""Training: the phases of a recipe one after the other, with averaged weights and resumable state."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torchvision.transforms.v2.functional import normalize
from tqdm import tqdm

from configs.schema import Config
from configs.training import PhaseConfig
from dataloaders.mixture import ClipTensors, Mixture, clip_loader, open_mixture
from dataloaders.preprocess import IMAGE_MEAN, IMAGE_STD
from dataloaders.sequences import Video
from engine.clip_training import ClipBatch, Lesson, clip_losses, shuffled_slots
from engine.ema import EMA
from engine.losses import hardest_count
from engine.memory import MemoryBank, build_policy
from engine.run_state import Run, load_state, restore, save_state
from engine.schedule import learning_rate, parameter_groups, reference_loss_weight
from engine.validation import validate, validation_videos
from networks.checkpoints import load_checkpoint, read_weights, save_checkpoint
from networks.encoders import freeze_stages, torchvision_weights
from networks.official import load_encoder_weights
from networks.vos_model import VOSModel
from utils.errors import InputError, RunStopped
from utils.files import require_writable
from utils.signals import stop_flag


def train(config: Config, *, device: str = "cpu", resume: bool = False) -> Path:
    """Train through all phases of ``config``.

    Args:
        config: the recipe.
        device: where to compute.
        resume: go on from ``last.pt`` in the output folder, if it is there.

    Returns:
        The checkpoint of the last phase's averaged weights.

    Raises:
        InputError: missing data or weights, an output folder that cannot be written.
        RunStopped: a loss that is not finite, Ctrl-C or SIGTERM; the state is saved.
    """
    output = require_writable(Path(config.train.output))
    mixtures = open_phases(config)
    videos = validation_videos(config)
    torch.manual_seed(config.train.seed)
    model = build_model(config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    saved = load_state(output) if resume else None
    final = output
    for index, mixture in enumerate(mixtures):
        if saved is not None and index < saved["phase"]:
            continue
        run = start_phase(config, mixture.phase, model, torch.device(device))
        if saved is not None:
            restore(run, saved)
            saved = None
        run_phase(config, run, mixture, output, index, videos)
        run.ema.copy_to(model)
        final = output / f"{mixture.phase.name}.safetensors"
        save_checkpoint(final, model, config)
        measure(config, run, videos, output)
    return final


def measure(config: Config, run: Run, videos: list[Video], output: Path) -> None:
    """Append the scores of the model as it is on ``videos``, if there are any, to the log."""
    if videos:
        scores = validate(run.model, config, videos, run.device)
        report(output, {"phase": run.phase.name, "step": run.step, **scores})


def open_phases(config: Config) -> list[Mixture]:
    """The data of every phase.

    Raises:
        InputError: no phase, or a phase whose data is missing.
    """
    if not config.train.phases:
        raise InputError(
            "train.phases: this config names no phase; use a recipe such as configs/recipes/mini.yaml"
        )
    return [open_mixture(config.data, phase, config.train.seed) for phase in config.train.phases]


def build_model(config: Config) -> VOSModel:
    """The model with the weights that training starts from; frozen encoder stages do not require gradients.

    Raises:
        InputError: weights that are missing or do not fit.
    """
    if config.train.start_from is not None:
        model, _ = load_checkpoint(Path(config.train.start_from), config=None)
        if model.config != config.model:
            raise InputError(
                f"train.start_from={config.train.start_from}: holds another architecture than this recipe"
            )
    else:
        model = VOSModel(config.model)
        source = config.train.encoder_weights
        if source is not None:
            load_encoder(model.encoder, source, config.model.encoder)
    freeze_stages(model.encoder, config.train.freeze_encoder_stages)
    return model


def load_encoder(encoder: nn.Module, source: str, name: str) -> None:
    """ImageNet weights from a file, or from torchvision's download."""
    try:
        weights = torchvision_weights(name) if source == "torchvision" else read_weights(Path(source))
        missing = load_encoder_weights(encoder, weights)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"train.encoder_weights={source}: cannot be loaded ({reason}); give a file of {name} weights, "
            "'torchvision', or null"
        ) from error
    if missing:
        raise InputError(
            f"train.encoder_weights={source}: lacks {len(missing)} keys, the first is {missing[0]}"
        )


def start_phase(config: Config, phase: PhaseConfig, model: VOSModel, device: torch.device) -> Run:
    """Optimiser and average for a phase that starts from the model as it is."""
    # The phase before may have ended with its identities at rest.
    for stage in model.stages:
        stage.train_identities(True)  # type: ignore[union-attr]
    groups = parameter_groups(model, phase.weight_decay, config.train.encoder_lr_ratio)
    optimizer = torch.optim.AdamW(groups, lr=phase.final_lr)
    return Run(phase, model, optimizer, EMA(model, phase.steps, config.train.ema), device)


def run_phase(
    config: Config, run: Run, mixture: Mixture, output: Path, index: int, videos: list[Video]
) -> None:
    """Train one phase from ``run.step`` to its end; ``videos`` are scored every so often.

    Raises:
        RunStopped: a loss that is not finite, Ctrl-C or SIGTERM; the state is saved.
    """
    phase, settings = run.phase, config.train
    batches = clip_loader(mixture, run.step)
    with tqdm(total=phase.steps, initial=run.step, desc=phase.name) as bar, stop_flag() as stop:
        progress = Progress(bar, output)
        while run.step < phase.steps:
            begin = time.perf_counter()
            batch = next(batches)
            waited = time.perf_counter() - begin
            loss = train_step(config, run, batch)
            problem = "interrupted" if stop.is_set() else None
            if not math.isfinite(loss):
                problem = f"the loss of step {run.step} is {loss}"
            if problem is not None:
                save_state(run, output, index)
                raise RunStopped(f"{problem}; the state is in {output}/last.pt, --resume goes on from it")
            progress.add(loss, waited)
            if run.step % settings.log_every == 0 or run.step == phase.steps:
                progress.log(phase.name, run.step, run.optimizer.param_groups[-1]["lr"])
            if run.step % settings.save_every == 0:
                save_state(run, output, index)
            if settings.validate_every and run.step % settings.validate_every == 0 and run.step < phase.steps:
                with run.ema.applied(run.model):
                    measure(config, run, videos, output)


@dataclass
class Progress:
    """Mean loss and waiting time between two log lines."""

    bar: tqdm
    output: Path
    losses: list[float] = field(default_factory=list)
    waited: float = 0.0
    """seconds spent waiting for data"""

    def add(self, loss: float, waited: float) -> None:
        """Count one step."""
        self.losses.append(loss)
        self.waited += waited
        self.bar.update()

    def log(self, phase: str, step: int, rate: float) -> None:
        """Show the means on the bar, append them to the log, and start anew."""
        loss, waited = sum(self.losses) / len(self.losses), self.waited / len(self.losses)
        self.bar.set_postfix(loss=f"{loss:.3f}", lr=f"{rate:.1e}", data=f"{waited:.2f}s")
        line = {"phase": phase, "step": step, "loss": loss, "lr": rate, "data_seconds": waited}
        report(self.output, line | {"time": time.time()})
        self.losses, self.waited = [], 0.0


def train_step(config: Config, run: Run, batch: ClipTensors) -> float:
    """One optimiser step on one batch; returns the loss. Nothing is changed when the loss is not finite."""
    model, step, phase = run.model, run.step, run.phase
    clip = to_device(batch, run.device)
    weight = reference_loss_weight(step, phase.steps, phase.reference_loss_until)
    lesson = plan_lesson(config, run, clip, reference_gradient=weight > 0)
    # Once the model feeds on its own masks the identities they are written in stay put.
    for stage in model.stages:
        stage.train_identities(not lesson.own_predictions)
    model.train()
    bank = MemoryBank(build_policy(config.memory, training=True), config.memory.short_term_skip)
    bfloat16 = config.train.precision == "bfloat16"
    with torch.autocast(run.device.type, torch.bfloat16, enabled=bfloat16):
        losses = clip_losses(model, bank, clip, lesson)
        loss = weight * losses.reference.mean() + losses.tracked.mean()
    if not torch.isfinite(loss):
        return loss.item()
    set_learning_rates(config, run)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), config.train.clip_gradients)
    run.optimizer.step()
    run.step += 1
    run.ema.update(model, run.step)
    return loss.item()


def plan_lesson(config: Config, run: Run, clip: ClipBatch, *, reference_gradient: bool) -> Lesson:
    """How the batch of this step is run: identities, hard pixels, whose masks are remembered."""
    phase, settings = run.phase, config.train
    own = phase.own_predictions_from < 1 and run.step >= int(phase.own_predictions_from * phase.steps)
    hardest = hardest_count(
        clip.labels[0, 0].numel(), run.step, phase.steps,
        part=settings.hardest_pixels, reached_at=settings.hardest_pixels_at,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + run.step)
    slots = shuffled_slots(len(clip.objects), config.model.max_objects, generator).to(run.device)
    return Lesson(slots, hardest, own, reference_gradient)


def set_learning_rates(config: Config, run: Run) -> None:
    """Give every parameter group the learning rate of this step."""
    phase, settings = run.phase, config.train
    now = learning_rate(
        run.step, phase.steps, peak=phase.lr, final=phase.final_lr,
        warmup=settings.warmup, power=settings.power,
    )  # fmt: skip
    for group in run.optimizer.param_groups:
        group["lr"] = phase.final_lr + (now - phase.final_lr) * group["lr_ratio"]


def to_device(batch: ClipTensors, device: torch.device) -> ClipBatch:
    """Normalised images and labels on ``device``."""
    frames = batch.frames.to(device).movedim(-1, 2)
    images = normalize(frames.float() / 255, list(IMAGE_MEAN), list(IMAGE_STD))
    return ClipBatch(images, batch.labels.to(device), batch.objects)


def report(output: Path, line: dict[str, object]) -> None:
    """Append a line to ``log.jsonl``."""
    with (output / "log.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
