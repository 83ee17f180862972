"""Values that replace null in training settings, as in the authors' code of the method and encoder."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from aotlab.configs.schema import METHODS, Config, ModelConfig
from aotlab.configs.training import PhaseConfig
from aotlab.utils.numbers import require

BEST = "best"
"""name of the weights with the best validation score; those of a phase have its name"""
FINAL_LEARNING_RATES = {"mobilenet_v2": 2e-5}
"""final learning rate by encoder; 1e-5 for all others"""


def resolve_training(config: Config) -> Config:
    """Replace every null of the training settings, and round crops to the model's grid.

    Raises:
        InputError: two phases would write to the same files.
    """
    for name, count in Counter([BEST, *(phase.name for phase in config.train.phases)]).items():
        require(count == 1, f"train.phases: {name}.safetensors would be written twice; rename a phase")
    phases = [_resolve_phase(phase, config.model) for phase in config.train.phases]
    output = config.train.output or f"runs/{config.name}"
    return replace(config, train=replace(config.train, phases=phases, output=output))


def _resolve_phase(phase: PhaseConfig, model: ModelConfig) -> PhaseConfig:
    final = phase.final_lr if phase.final_lr is not None else FINAL_LEARNING_RATES.get(model.encoder, 1e-5)
    augmentation = phase.augmentation or METHODS[model.method].augmentation
    extra = 1 if model.align_corners else 0
    crop = round((phase.crop - extra) / 16) * 16 + extra
    return replace(phase, final_lr=final, augmentation=augmentation, crop=crop)
