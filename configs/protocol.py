"""Settings that follow from others: the memory of a protocol, published values for null in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

from aotlab.configs.schema import Config, ModelConfig
from aotlab.configs.training import PhaseConfig
from aotlab.utils.errors import InputError

Protocol = Literal["bounded", "published"]
"""``published``: the memory used in the paper's evaluation; ``bounded``: at most ``memory.frames`` frames"""
DEFAULT_BOUNDED_POLICY = "restricted"
"""replacement for a policy without a bound: same masks on short videos, bounded memory on long ones"""


def apply_protocol(config: Config, protocol: Protocol, overrides: Sequence[str] = ()) -> Config:
    """Return the settings for a protocol.

    ``bounded`` replaces `every_nth` with `restricted` (RMem), unless ``overrides`` set a policy.

    Raises:
        InputError: unknown protocol.
    """
    known = get_args(Protocol)
    if protocol not in known:
        raise InputError(f"protocol: must be one of {', '.join(known)}, got {protocol!r}")
    from omegaconf import OmegaConf

    overridden = OmegaConf.select(OmegaConf.from_dotlist(list(overrides)), "memory.policy") is not None
    if protocol == "published" or overridden or config.memory.policy != "every_nth":
        return config
    return replace(config, memory=replace(config.memory, policy=DEFAULT_BOUNDED_POLICY))


FINAL_LEARNING_RATES = {"mobilenet_v2": 2e-5}
"""final learning rate by encoder; 1e-5 for all others"""
DEFAULT_AUGMENTATIONS = {"gpm": "deaot"}
"""augmentation by block type; aot for all others"""


def resolve_training(config: Config) -> Config:
    """Replace every null of the training settings, and round crops to the model's grid."""
    phases = [_resolve_phase(phase, config.model) for phase in config.train.phases]
    output = config.train.output or f"runs/{config.name}"
    return replace(config, train=replace(config.train, phases=phases, output=output))


def _resolve_phase(phase: PhaseConfig, model: ModelConfig) -> PhaseConfig:
    final = phase.final_lr if phase.final_lr is not None else FINAL_LEARNING_RATES.get(model.encoder, 1e-5)
    augmentation = phase.augmentation or DEFAULT_AUGMENTATIONS.get(model.stages[0].block, "aot")
    extra = 1 if model.align_corners else 0
    crop = round((phase.crop - extra) / 16) * 16 + extra
    return replace(phase, final_lr=final, augmentation=augmentation, crop=crop)
