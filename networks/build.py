"""Class of each method, and models with random weights."""

from __future__ import annotations

from importlib import import_module

from aotlab.configs.methods import find_method
from aotlab.configs.schema import ModelConfig
from aotlab.networks.model import VOSModel

MODEL_CLASSES = {
    "aot": "aot.AOT",
    "aot_rmem": "rmem.RMemAOT",
    "deaot": "deaot.DeAOT",
    "deaot_rmem": "rmem.RMemDeAOT",
    "msdeaot": "msdeaot.MSDeAOT",
    "aost": "aost.AOST",
    "paot": "paot.PAOT",
}
"""Module of this package and class, by method; only that of the model is imported."""


def build_model(config: ModelConfig) -> VOSModel:
    """Return the model of a config with random weights."""
    build = find_method(config.method).model
    if build is None:
        module, name = MODEL_CLASSES[config.method].split(".")
        build = getattr(import_module(f"aotlab.networks.{module}"), name)
    model: VOSModel = build(config)
    return model
