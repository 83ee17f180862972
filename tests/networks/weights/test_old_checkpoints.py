"""Checkpoints and training states with the settings of 0.3."""

import pytest
import torch
from safetensors.torch import save_file

from aotlab.configs.load import build_config, parse_yaml
from aotlab.configs.methods import RMemDeAOTStage
from aotlab.configs.schema import MemoryConfig, ModelConfig
from aotlab.configs.upgrade import upgrade_settings
from aotlab.networks.build import build_model
from aotlab.networks.weights.checkpoints import load_checkpoint, read_settings
from tests.engine.small_model import register_tiny_encoder
from tests.mutations import raises_one_sentence

SETTINGS = """\
name: vost
confidence_temperature: 1.25
model:
  method: deaot_rmem
  encoder: tiny
  dim: 32
  max_objects: 10
  ignore_plane: true
  align_corners: true
  depth: null
  prompt_blocks: 0
  stages:
  - stride: 16
    depth: 1
    shared: false
    heads: 8
    window: 7
    feedforward: 1024
    drop_path: 0.1
    dim: null
    self_heads: null
    self_stride: 1
    memory_stride: 1
    identity_stride: null
    temporal_slots: 4
    sine_position: true
    relative_position: true
memory:
  policy: restricted
  every: 5
  every_in_training: 4
  frames: 9
  newest: 2
  insertions: 30
  score_early: true
  relevance_weight: 2.0
  redundancy_slope: 7.0
  redundancy_threshold: 0.25
  short_term_skip: 2
  short_term_frames: 1
train:
  output: runs/vost
"""
"""Settings as 0.3 stored them, all of the model's and the memory's."""


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint with settings of 0.3, as a function of changes to their text."""
    register_tiny_encoder()
    stage = RMemDeAOTStage(window=7, temporal_slots=4)
    model = build_model(ModelConfig("deaot_rmem", "tiny", 32, ignore_plane=True, stages=[stage]))

    def write(*change):
        text = SETTINGS.replace(*change) if change else SETTINGS
        state = {key.replace("conv_in.", "decoder.conv_in."): x for key, x in model.state_dict().items()}
        save_file(state, tmp_path / "old.safetensors", metadata={"config": text})
        return tmp_path / "old.safetensors"

    return write


def test_checkpoint_with_settings_of_0_3_loads(checkpoint):
    model, config = load_checkpoint(checkpoint(), overrides=["memory.every=6"])
    assert config.model.stages == [RMemDeAOTStage(window=7, temporal_slots=4)]
    assert config.memory == MemoryConfig(
        "rmem", every=6, every_in_training=4, frames=9, max_tracked=2, max_stored=30, score_early=True,
        relevance_weight=2.0, redundancy_slope=7.0, redundancy_threshold=0.25, short_term_lag=2,
    )  # fmt: skip
    assert model.temporal.memory.shape == (4, 16)
    assert torch.equal(load_checkpoint(checkpoint())[0].temporal.memory, model.temporal.memory)


@pytest.mark.parametrize(("policy", "expected"), [("relevance_redundancy", "ermu"), ("every_nth", "every_nth")])
def test_policy_of_0_3_has_its_new_name(checkpoint, policy, expected):
    assert read_settings(checkpoint("policy: restricted", f"policy: {policy}")).memory.policy == expected


@pytest.mark.parametrize(("change", "message"), [
    (("heads: 8", "heads: 4"), "old.safetensors: unknown key model.stages.0.heads; valid keys are stride, depth"),
    (("shared: false", "shared: true"), "old.safetensors: unknown key model.stages.0.shared"),
    (("method: deaot_rmem", "method: deaot"), "old.safetensors: unknown key model.stages.0.temporal_slots"),
    (("method: deaot_rmem", "method: gone"), "old.safetensors: model.method gone: not one of aot"),
    (("stages:\n", "stages: 5\n  others:\n"), "old.safetensors: unknown key model.others"),
])  # fmt: skip
def test_settings_that_a_method_of_0_3_lacked_rejected(checkpoint, change, message):
    with raises_one_sentence() as caught:
        load_checkpoint(checkpoint(*change))
    assert message in str(caught.value)


def test_old_names_in_overrides_of_a_checkpoint_rejected(checkpoint):
    with raises_one_sentence("memory.newest is now memory.max_tracked"):
        load_checkpoint(checkpoint(), overrides=["memory.newest=1"])


def test_upgrade_keeps_present_settings():
    register_tiny_encoder()
    upgraded = upgrade_settings(parse_yaml(SETTINGS, "old"))
    assert upgrade_settings(upgraded) == upgraded
    assert build_config(upgraded, "old").train.output == "runs/vost"
