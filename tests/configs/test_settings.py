"""Settings are checked however they are made; a tree that is not settings ends in one sentence."""

import copy
import pickle

import pytest
from pydantic import BaseModel, ValidationError

from aotlab.configs.load import load_config
from aotlab.configs.methods import AOTStage, DeAOTStage, PAOTStage
from aotlab.configs.schema import Config, InputConfig, MemoryConfig, ModelConfig
from aotlab.configs.settings import build
from aotlab.configs.training import PhaseConfig, SourceConfig
from aotlab.prompting.config import PromptConfig
from aotlab_testing.mutations import raises_one_sentence

INVALID = [
    (Config, {"memory": {"frames": -3}}, r"memory\.frames must be 1 to 2147483647, got -3"),
    (Config, {"memory": {"frames": 0}}, r"memory\.frames must be 1 to 2147483647, got 0"),
    (Config, {"memory": {"every": "5"}}, r"memory\.every must be an integer, got '5'"),
    (Config, {"memory": {"policy": "rmen"}}, r"memory\.policy rmen: not one of first_frame, .*; did you mean rmem\?"),
    (Config, {"memory": {"evry": 3}}, r"unknown key memory\.evry; did you mean memory\.every\?"),
    (Config, {"memory": 5}, r"memory must be settings \(key: value\), got 5"),
    (Config, 5, r"settings must be settings \(key: value\), got 5"),
    (Config, {"memory": InputConfig()}, r"memory must be MemoryConfig, got InputConfig\(.*"),
    (Config, {"memory": {"short_term_frames": 2}, "model": {"method": "aot_rmem"}},
     r"memory\.short_term_frames must be at most 1 with aot_rmem, got 2"),
    (Config, {"name": "../evil"}, r"name: '\.\./evil' is not a plain name; give .*"),
    (Config, {"rules": {"after_cut": "stop"}}, r"rules\.after_cut stop: not one of end, recognize, continue"),
    (Config, {"compute": {"precision": "float8"}},
     r"compute\.precision float8: not one of float32, .*, auto; did you mean float32\?"),
    (Config, {"model": {"stages": [{"dept": 1}]}},
     r"unknown key model\.stages\.0\.dept; did you mean model\.stages\.0\.depth\?"),
    (Config, {"model": {"stages": [{"stride": 5}]}}, r"model\.stages\.0\.stride 5: not one of 16, 8, 4"),
    (Config, {"model": {"stages": [DeAOTStage()]}}, r"model\.stages\.0 must be AOTStage, got DeAOTStage\(.*"),
    (Config, {"model": {"stages": 5}}, r"model\.stages must be a list, got 5"),
    (Config, {"model": {"stages": [{"stride": 8}]}}, r"model\.stages: strides must begin with 16 .*, got \[8\]"),
    (Config, {"model": {"method": "deaot", "depth": 1}}, r"model\.depth: deaot has no such setting; remove it"),
    (Config, {"model": {"method": "aost", "depth": 2}}, r"model\.depth must be 1 to 1, got 2"),
    (Config, {"model": {"stages": [{"heads": 3}]}}, r"model\.stages\.0: dim 256 is not divisible by 3 heads"),
    (Config, {"train": {"phases": [{"name": "a", "lr": 0}]}}, r"train\.phases\.0\.lr must be above 0 .*, got 0.0"),
    (AOTStage, {"window": 8}, r"window must be odd or 0, up to 1001, got 8"),
    (PAOTStage, {"identity_stride": 8}, r"identity_stride must be at least 16, got 8"),
    (PromptConfig, {"window": 2}, r"window must be odd, 1 to 1001, got 2"),
    (PhaseConfig, {}, "name is missing"),
    (SourceConfig, {"path": "a", "weight": float("inf")}, "weight must be finite, got inf"),
]  # fmt: skip
IN_PYTHON = [
    (lambda: MemoryConfig(frames=0), ("frames",), "value_error"),
    (lambda: MemoryConfig(every="5"), ("every",), "int_type"),
    (lambda: MemoryConfig(**{"evry": 3}), ("evry",), "extra_forbidden"),
    (lambda: Config(memory={"frames": 0}), ("memory", "frames"), "value_error"),
    (lambda: ModelConfig(stages=[DeAOTStage()]), ("stages", 0), "model_type"),
    (lambda: ModelConfig(method="aost", depth=2), (), "value_error"),
    (lambda: MemoryConfig().replace(frames=0), ("frames",), "value_error"),
    (lambda: Config().replace(memory={"frames": 0}), ("memory", "frames"), "value_error"),
    (lambda: Config().replace(memory=3), ("memory",), "model_type"),
    (lambda: ModelConfig().replace(method="deaot"), ("stages", 0), "model_type"),
]


@pytest.mark.parametrize(("schema", "tree", "message"), INVALID, ids=[message for _, _, message in INVALID])
def test_invalid_tree_is_one_sentence(schema, tree, message):
    with raises_one_sentence(rf"^{message}$"):
        build(schema, tree)


@pytest.mark.parametrize(("make", "loc", "kind"), IN_PYTHON)
def test_invalid_value_in_python_is_an_error_of_pydantic(make, loc, kind):
    with pytest.raises(ValidationError) as caught:
        make()
    assert [(error["loc"], error["type"]) for error in caught.value.errors()] == [(loc, kind)]


def test_stages_are_built_from_mappings():
    assert build(ModelConfig, {"stages": [{"depth": 2}]}).stages == [AOTStage(depth=2)]
    assert ModelConfig(method="deaot").stages == [DeAOTStage()]


def test_integers_become_floats_and_text():
    source = SourceConfig(path=2017, weight=1)
    assert (source.path, source.weight, type(source.weight)) == ("2017", 1.0, float)


def test_replaced_settings_differ_in_the_named_ones():
    config = load_config("aotl", ["memory.frames=4"])
    other = config.replace(name="mine", memory={"every": 2})
    assert (other.name, other.memory.every, other.memory.frames) == ("mine", 2, 4)
    assert other.replace(name="aotl", memory=config.memory) == config
    assert other.model is config.model


def test_settings_are_frozen_and_can_be_copied():
    config = load_config("r50_paotl")
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config
    with pytest.raises(ValueError, match="frozen"):
        config.memory.frames = 3


def test_settings_inside_another_model_are_checked():
    class Job(BaseModel):
        memory: MemoryConfig

    with pytest.raises(ValueError, match="must be 1 to 2147483647, got 0"):
        Job(memory={"frames": 0})
