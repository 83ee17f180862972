"""Settings made in Python are checked as those of files, with the same sentences."""

import copy
import pickle

import pytest
from pydantic import BaseModel

from aotlab.configs.load import load_config
from aotlab.configs.methods import AOTStage, DeAOTStage, PAOTStage
from aotlab.configs.schema import Config, InputConfig, MemoryConfig, ModelConfig
from aotlab.configs.training import PhaseConfig, SourceConfig, TrainConfig
from aotlab.prompting.config import PromptConfig
from aotlab_testing.mutations import raises_one_sentence

MODEL = ModelConfig()
INVALID = [
    (lambda: MemoryConfig(frames=-3), r"memory\.frames must be 1 to 2147483647, got -3"),
    (lambda: MemoryConfig(frames=0), r"memory\.frames must be 1 to 2147483647, got 0"),
    (lambda: MemoryConfig(every="5"), r"memory\.every must be an integer, got '5'"),
    (lambda: MemoryConfig(short_term_lag=0), r"memory\.short_term_lag must be 1 to 1000, got 0"),
    (lambda: MemoryConfig(policy="rmen"), r"memory\.policy rmen: not one of first_frame, .*; did you mean rmem\?"),
    (lambda: MemoryConfig(**{"evry": 3}), r"unknown key memory\.evry; did you mean memory\.every\?"),
    (lambda: MemoryConfig.model_validate({"frames": 0}), r"memory\.frames must be 1 to 2147483647, got 0"),
    (lambda: Config(memory={"frames": 0}), r"memory\.frames must be 1 to 2147483647, got 0"),
    (lambda: Config(memory=5), r"memory must be settings \(key: value\), got 5"),
    (lambda: Config(memory=InputConfig()), r"memory must be MemoryConfig, got InputConfig\(.*"),
    (lambda: Config(memory={"short_term_frames": 2}, model={"method": "aot_rmem"}),
     r"memory\.short_term_frames must be at most 1 with aot_rmem, got 2"),
    (lambda: Config(name="../evil"), r"name: '\.\./evil' is not a plain name; give .*"),
    (lambda: ModelConfig(stages=[{"dept": 1}]), r"unknown key model\.stages\.0\.dept; did you mean .*\.0\.depth\?"),
    (lambda: ModelConfig(stages=[DeAOTStage()]), r"model\.stages\.0 must be AOTStage, got DeAOTStage\(.*"),
    (lambda: ModelConfig(stages=5), r"model\.stages must be a list, got 5"),
    (lambda: ModelConfig(method="deaot", depth=1), r"model\.depth: deaot has no such setting; remove it"),
    (lambda: ModelConfig(method="aost", depth=2), r"model\.depth must be 1 to 1, got 2"),
    (lambda: ModelConfig(stages=[AOTStage(heads=3)]), r"model\.stages\.0: dim 256 is not divisible by 3 heads"),
    (lambda: AOTStage(window=8), r"window must be odd or 0, up to 1001, got 8"),
    (lambda: PAOTStage(identity_stride=8), r"identity_stride must be at least 16, got 8"),
    (lambda: PromptConfig(window=2), r"window must be odd, 1 to 1001, got 2"),
    (lambda: TrainConfig(**{"phases": [{"name": "a", "lr": 0}]}), r"train\.phases\.0\.lr must be above 0 .*, got 0.0"),
    (lambda: PhaseConfig(**{}), "name is missing"),
    (lambda: SourceConfig(path="a", weight=float("inf")), "weight must be finite, got inf"),
    (lambda: MemoryConfig().replace(frames=0), r"memory\.frames must be 1 to 2147483647, got 0"),
    (lambda: Config().replace(memory={"frames": 0}), r"memory\.frames must be 1 to 2147483647, got 0"),
    (lambda: Config().replace(memory=3), r"memory must be settings \(key: value\), got 3"),
    (lambda: MODEL.replace(method="deaot"), r"model\.stages\.0 must be DeAOTStage, got AOTStage\(.*"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), INVALID, ids=[message for _, message in INVALID])
def test_invalid_value_rejected(make, message):
    with raises_one_sentence(rf"^{message}$"):
        make()


def test_stages_are_built_from_mappings():
    assert ModelConfig(stages=[{"depth": 2}]).stages == [AOTStage(depth=2)]
    assert ModelConfig(method="deaot").stages == [DeAOTStage()]


def test_integers_become_floats_and_text():
    source = SourceConfig(path=2017, weight=1)
    assert (source.path, source.weight, type(source.weight)) == ("2017", 1.0, float)


def test_changed_settings_differ_in_the_named_ones():
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
