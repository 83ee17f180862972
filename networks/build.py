"""Table of methods, and models of configs with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from aotlab.configs.schema import ModelConfig, StageConfig
from aotlab.networks.aost import AOST
from aotlab.networks.aot import AOT
from aotlab.networks.deaot import DeAOT
from aotlab.networks.model import VOSModel
from aotlab.networks.msdeaot import MSDeAOT
from aotlab.networks.paot import PAOT
from aotlab.networks.prompts import PromptNetwork
from aotlab.networks.rmem import RMemAOT, RMemDeAOT
from aotlab.utils.errors import InputError


class Method(NamedTuple):
    """A method that a config may name."""

    build: Callable[[ModelConfig], VOSModel]
    """returns the model of a config with random weights"""
    settings: frozenset[str] = frozenset()
    """optional settings of `StageConfig` that the method has"""
    several_stages: bool = False
    """whether `ModelConfig.stages` may hold more than one"""


def build_deaot(config: ModelConfig) -> VOSModel:
    """Return DeAOT, with RMem's temporal embedding if the config has slots."""
    return RMemDeAOT(config) if config.stages[0].temporal_slots else DeAOT(config)


PYRAMID = frozenset({"dim", "memory_stride", "identity_stride"})
METHODS = {
    "aot": Method(AOT, frozenset({"sine_position", "relative_position"})),
    "aot_plus": Method(RMemAOT, frozenset({"temporal_slots"})),
    "deaot": Method(build_deaot, frozenset({"temporal_slots"})),
    "msdeaot": Method(MSDeAOT, PYRAMID, several_stages=True),
    "aost": Method(AOST, frozenset({"shared"})),
    "paot": Method(PAOT, PYRAMID | {"self_heads", "self_stride"}, several_stages=True),
}
OPTIONAL_SETTINGS = sorted(frozenset().union(*(method.settings for method in METHODS.values())))


def build_model(config: ModelConfig) -> VOSModel:
    """Return the model of a config with random weights, and its prompt network if it has one.

    Raises:
        InputError: unknown encoder or method, or settings that the method does not have.
    """
    method = METHODS.get(config.method)
    if method is None:
        raise InputError(f"model.method must be one of {', '.join(METHODS)}, got {config.method}")
    if len(config.stages) > 1 and not method.several_stages:
        raise InputError(f"model.stages: {config.method} has one stage, got {len(config.stages)}")
    for number, stage in enumerate(config.stages):
        for name in OPTIONAL_SETTINGS:
            if name not in method.settings and getattr(stage, name) != getattr(StageConfig, name):
                owners = ", ".join(key for key, other in METHODS.items() if name in other.settings)
                raise InputError(
                    f"model.stages.{number}.{name}: {config.method} has no such setting; leave it out, or use {owners}"
                )
        if stage.window == 0 and config.method != "aot":
            raise InputError(f"model.stages.{number}.window must be odd, got 0; only aot goes without")
    model = method.build(config)
    model.prompts = PromptNetwork(config) if config.prompt_blocks else None
    # the fastest layout for convolutions; tokens are then views of maps
    return model.to(memory_format=torch.channels_last)
