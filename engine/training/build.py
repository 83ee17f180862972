"""Settings, data and model of a run, with its initial weights."""

from __future__ import annotations

import logging
import os
from collections import Counter
from functools import partial
from pathlib import Path

import torch
from torch.utils.checkpoint import checkpoint

from aotlab.configs.files import resolve_path
from aotlab.configs.methods import find_method
from aotlab.configs.schema import TIMM_PREFIX, Config
from aotlab.configs.settings import build
from aotlab.configs.training import TrainConfig
from aotlab.dataloaders.training.mixture import split_batch
from aotlab.dataloaders.training.phases import TrainingData, open_phases
from aotlab.engine.training.losses import find_loss
from aotlab.engine.training.model_card import PhaseRecord, load_card
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.networks.build import build_model
from aotlab.networks.encoders import Encoder
from aotlab.networks.fast.optimize import compile_parts, optimize_training
from aotlab.networks.model import VOSModel
from aotlab.networks.preprocess import round_to_grid
from aotlab.networks.weights.checkpoints import load_weights, read_weights
from aotlab.networks.weights.published_keys import convert_published, is_published, load_encoder_weights
from aotlab.networks.weights.zoo import HUB_PREFIX, resolve_checkpoint
from aotlab.utils.distributed import Distributed
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import reading

CPU = torch.device("cpu")
BEST = "best"
"""Name of the weights with the best validation score; a phase's weights have its name."""
FINAL_LEARNING_RATES = {"mobilenet_v2": 2e-5}
"""Final learning rate by encoder; 1e-5 for all others."""
log = logging.getLogger(__name__)


def resolve_training(config: Config) -> Config:
    """Fill in defaults that depend on method and encoder, and round crops to the model's grid.

    Raises:
        InputError: two phases would write to the same files, or a crop that is rounded up is too large.
    """
    settings = config.train
    for name, count in Counter([BEST, *(phase.name for phase in settings.phases)]).items():
        require(
            count == 1, f"{name}.safetensors would be written twice", subject="train.phases", remedy="rename a phase"
        )
    final_lr = FINAL_LEARNING_RATES.get(config.model.encoder, 1e-5)
    phases = [
        {
            **dict(phase),
            "final_lr": final_lr if phase.final_lr is None else phase.final_lr,
            "augmentation": phase.augmentation or find_method(config.model.method).augmentation,
            "crop": round_to_grid(phase.crop, align_corners=config.model.align_corners),
        }
        for phase in settings.phases
    ]
    output = os.path.expanduser(settings.output or f"outputs/{config.name}")
    train = {**dict(settings), "phases": phases, "output": output}
    return build(Config, {**dict(config), "train": train})


def open_data(config: Config, world: Distributed) -> TrainingData:
    """Find the data of all phases.

    Raises:
        InputError: missing data, a batch that cannot be split over ranks, or an unknown loss or benchmark.
    """
    find_benchmark(config.data.benchmark)
    data = open_phases(config)
    for mixture in data.mixtures.values():
        split_batch(mixture.phase, world.world_size, config.train.accumulate)
    find_loss(config.train.loss)
    return data


def build_training_model(config: Config, device: torch.device = CPU, *, is_resumed: bool = False) -> VOSModel:
    """Build the model with its initial weights; frozen encoder stages do not require gradients.

    Args:
        device: device that trains it.
        is_resumed: skip loading initial weights, as a saved state replaces them.
    """
    model = build_model(config.model)
    settings = config.train
    if is_resumed:
        settings = settings.replace(start_from=None, encoder_weights=None, warm_start=None)
    if settings.start_from is not None:
        load_weights(model, resolve_weights(settings.start_from), config.name)
    elif settings.encoder_weights is not None:
        load_encoder(model.encoder, settings.encoder_weights, config.model.encoder)
    if settings.warm_start is not None:
        warm_start(model, resolve_weights(settings.warm_start))
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    prepare_model(model, settings)
    return model


def resolve_weights(setting: str) -> Path:
    """Return the file of a setting: as `resolve_checkpoint`, with paths also below the project's root."""
    return resolve_checkpoint(setting if setting.startswith(HUB_PREFIX) else resolve_path(setting))


def load_encoder(encoder: Encoder, source: str, name: str) -> None:
    """Load ImageNet weights from a file, or a download of torchvision or timm; ``name``: of the encoder in messages."""
    subject, remedy = f"train.encoder_weights={source}", f"give a file of {name} weights, or null"
    is_timm = name.startswith(TIMM_PREFIX)
    owners = {"torchvision": encoder.torchvision_weights is not None, "timm": is_timm}
    require(owners.get(source, True), f"{source} has no weights of this encoder", subject=subject, remedy=remedy)
    weights = None if source in owners else read_weights(resolve_weights(source))
    with reading(subject, remedy, RuntimeError):
        if is_timm:
            encoder.load_pretrained(weights)  # type: ignore[operator]
        else:
            if weights is None:
                weights = encoder.torchvision_weights.get_state_dict(progress=True)  # type: ignore[union-attr]
            load_encoder_weights(encoder, weights)


def warm_start(model: VOSModel, path: Path) -> None:
    """Load the weights of another model whose names and shapes match; the others are unchanged."""
    state, weights = model.state_dict(), read_weights(path)
    if is_published(weights):
        weights = convert_published(weights, model)
    shared = {key: tensor for key, tensor in weights.items() if key in state and state[key].shape == tensor.shape}
    if not shared:
        raise InputError("no weight matches this model in name and shape", subject=f"train.warm_start={path}")
    model.load_state_dict(shared, strict=False)
    level = logging.WARNING if 2 * len(shared) < len(state) else logging.INFO
    parts = Counter(key.partition(".")[0] for key in shared)
    listed = ", ".join(f"{part} {count}" for part, count in sorted(parts.items()))
    log.log(level, "%d of %d weights loaded from %s: %s", len(shared), len(state), path.name, listed)


def prepare_model(model: VOSModel, settings: TrainConfig) -> None:
    """Optimize for training, freeze the encoder as set; checkpoint activations and compile, if set."""
    parts, count = model.encoder.freezable_parts, settings.freeze_encoder_stages
    problem = f"train.freeze_encoder_stages must be at most {len(parts)} with {model.config.encoder}, got {count}"
    require(count <= len(parts), problem)
    optimize_training(model)
    for part in parts[:count]:
        part.requires_grad_(False)
    if settings.checkpoint_activations:
        for block in model.encoder.recomputable_blocks:
            if any(weight.requires_grad for weight in block.parameters()):
                block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    if settings.compile:
        compile_parts(model, dynamic=False)


def read_start_phases(config: Config) -> list[PhaseRecord]:
    """Return the phases recorded in ``train.start_from``; empty if unset or without a card."""
    start = config.train.start_from
    card = load_card(resolve_weights(start)) if start is not None else None
    return card.phases if card is not None else []


def describe_start_weights(config: Config) -> str:
    """Return the file name of the initial weights, without machine-specific folders."""
    settings = config.train
    if settings.start_from is not None:
        return resolve_path(settings.start_from).name
    source, warm = settings.encoder_weights, settings.warm_start
    first = f"ImageNet weights of the encoder ({Path(source).name})" if source else "random weights"
    return f"{resolve_path(warm).name} where weights fit, {first}" if warm else first
