"""Small models of the methods with several strides."""

import torch

from aotlab.configs.load import build_config
from aotlab.networks.build import build_model
from tests.engine.small_model import amplify

STAGES = {
    "msdeaot": [
        {"stride": 16, "window": 7, "drop_path": 0.0},
        {"stride": 8, "dim": 32, "memory_stride": 2, "window": 7, "drop_path": 0.0},
        {"stride": 4, "depth": 0, "dim": 32},
    ],
    "paot": [
        {"stride": 16, "heads": 1, "self_heads": 2, "feedforward": 64, "window": 7},
        {"stride": 8, "heads": 1, "feedforward": 64, "memory_stride": 2, "window": 7},
        {"stride": 4, "depth": 0, "dim": 32},
    ],
}


def build(method, policy="every_nth", **model):
    """A model of a method with other settings ``model``, and its configuration."""
    tree = {
        "name": f"small_{method}",
        "model": {"method": method, "dim": 64, "stages": STAGES[method], **model},
        "memory": {"policy": policy, "every": 2},
    }
    config = build_config(tree, "small.yaml")
    torch.manual_seed(0)
    return amplify(build_model(config.model)), config
