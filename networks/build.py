"""Class of each method, and models with random weights."""

from __future__ import annotations

from aotlab.configs.methods import find_method
from aotlab.configs.schema import ModelConfig
from aotlab.networks.aost import AOST
from aotlab.networks.aot import AOT
from aotlab.networks.deaot import DeAOT
from aotlab.networks.model import VOSModel
from aotlab.networks.msdeaot import MSDeAOT
from aotlab.networks.paot import PAOT
from aotlab.networks.rmem import RMemAOT, RMemDeAOT

MODEL_CLASSES: dict[str, type[VOSModel]] = {
    "aot": AOT,
    "aot_rmem": RMemAOT,
    "deaot": DeAOT,
    "deaot_rmem": RMemDeAOT,
    "msdeaot": MSDeAOT,
    "aost": AOST,
    "paot": PAOT,
}


def build_model(config: ModelConfig) -> VOSModel:
    """Return the model of a config with random weights."""
    build = find_method(config.method).model or MODEL_CLASSES[config.method]
    model: VOSModel = build(config)
    return model
