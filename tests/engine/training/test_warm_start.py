"""Training that starts from weights of another model, where they fit."""

from __future__ import annotations

import logging

import pytest
import torch
from safetensors.torch import load_file, save_file

from aotlab.configs.load import load_config
from aotlab.engine.training.build import build_training_model
from aotlab.networks import build
from aotlab.networks.weights.checkpoints import read_card, save_checkpoint
from aotlab.utils.errors import InputError
from tests.engine.training.tiny_recipes import phase, run


def test_warm_start_loads_matching_weights(tmp_path, caplog):
    path = tmp_path / "other.safetensors"
    config = load_config("aott")
    save_checkpoint(path, build.build_training_model(config.model), config)
    other = load_file(path)
    with caplog.at_level(logging.INFO):
        model = build_training_model(load_config("deaott", [f"train.warm_start={path}"]))
    own = model.state_dict()
    for part in ("encoder.", "projector.", "decoder.", "identity_bank."):
        assert all(torch.equal(own[key], other[key]) for key in own if key.startswith(part)), part
    assert (
        own["blocks.0.short_attention.relative_key.weight"].shape
        != other["blocks.0.short_attention.relative_key.weight"].shape
    )
    assert "weights loaded from other.safetensors" in caplog.text


def test_warm_start_without_match_rejected(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"head.weight": torch.zeros(2)}, path)
    with pytest.raises(InputError, match=r"train\.warm_start=.*other\.safetensors: no weight matches"):
        build_training_model(load_config("deaott", [f"train.warm_start={path}"]))


def test_card_names_warm_start(recipe):
    before = run(recipe("before", phase("one"))).checkpoint
    card = read_card(run(recipe("after", phase("one"), overrides=[f"train.warm_start={before}"])).checkpoint)
    assert card.phases[0].start == f"{before.name} where weights fit, random weights"
