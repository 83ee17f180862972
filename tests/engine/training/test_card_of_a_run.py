"""The model card that training writes into its checkpoints, and training that starts from other weights."""

import logging
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from aotlab import __version__
from aotlab.configs.load import load_config
from aotlab.engine.training.build import build_training_model, resolve_training
from aotlab.engine.training.model_card import load_card
from aotlab.engine.training.trainer import train
from aotlab.networks.build import build_model
from aotlab.networks.weights.checkpoints import save_checkpoint
from aotlab.utils.errors import InputError
from aotlab.utils.provenance import describe_versions
from aotlab_testing.small_model import assert_same_weights, to_published
from tests.engine.training.tiny_recipes import ALONE, phase, run_recipe


@pytest.mark.slow
def test_card_lists_phases_beside_half_weights(recipe):
    config = recipe("run", phase("one"), phase("two", steps=3), overrides=["train.half_weights=true"])
    checkpoint = train(config, ALONE, command="python tools/train.py x=1").checkpoint
    weights = load_file(checkpoint)
    assert {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()} == {torch.float16}
    card = load_card(checkpoint)
    first, second = card.phases
    assert (first.name, first.steps, first.planned, first.crop) == ("one", 2, 2, 65)
    line, files, validation = first.data
    assert line == "drawn (video): 2 videos with 6 labeled frames, gaps up to 1; 100.0 % of the draws"
    assert re.fullmatch(r"files of drawn \(video\): 12 files, SHA-256 [0-9a-f]{16}", files)
    assert validation == "files of validation: none"
    assert (first.start, second.start) == ("random weights", "one")
    assert (first.command, first.device) == ("python tools/train.py x=1", "1 × cpu")
    assert second.steps == 3
    assert 0 < second.hours < 1


@pytest.mark.slow
def test_card_names_the_weights_that_training_begins_with(recipe):
    before = run_recipe(recipe("before", phase("one", steps=1))).checkpoint
    started, warm = (
        load_card(run_recipe(recipe(key, phase("two", steps=1), overrides=[f"train.{key}={before}"])).checkpoint).phases
        for key in ("start_from", "warm_start")
    )
    assert [each.name for each in started] == ["one", "two"]
    assert warm[0].start == f"{before.name} where weights fit, random weights"


def test_card_and_output_have_last_scores(recipe, capsys):
    config = recipe("run", phase("one", steps=1), overrides=["data.validation=[{path: held}, {path: held}]"])
    (record,) = load_card(run_recipe(config).checkpoint).phases
    assert set(record.scores) == {"J&F", "J", "F"}
    _, step, progress, validation = capsys.readouterr().err.splitlines()
    assert step.startswith("one, step 1 of 1: loss ")
    assert progress == "one, step 1: validation of 1 of 2 videos"
    assert validation.startswith("one, step 1: validation J&F ")
    assert record.program == describe_versions()
    assert record.program["aotlab"] == __version__
    assert load_card(Path(config.train.output) / "best.safetensors").phases[0].scores == record.scores


def test_warm_start_loads_matching_weights(tmp_path, caplog):
    path = tmp_path / "other.safetensors"
    config = load_config("aott")
    save_checkpoint(path, build_model(config.model), config)
    other = load_file(path)
    with caplog.at_level(logging.INFO):
        model = build_training_model(load_config("deaott", [f"train.warm_start={path}"]))
    state = model.state_dict()
    parts = "encoder.", "projector.", "decoder.", "identity_bank."
    assert_same_weights(other, {key: tensor for key, tensor in state.items() if key.startswith(parts)})
    assert (
        state["blocks.0.short_attention.relative_key.weight"].shape
        != other["blocks.0.short_attention.relative_key.weight"].shape
    )
    assert "292 of 325 weights loaded from other.safetensors: blocks 4, conv_in 4, decoder 20, enc" in caplog.text


def test_warm_start_with_few_weights_is_a_warning(tmp_path, caplog):
    save_file({"projector.bias": torch.zeros(256)}, tmp_path / "other.safetensors")
    build_training_model(load_config("aott", [f"train.warm_start={tmp_path / 'other.safetensors'}"]))
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()[:5]) == ("WARNING", "1 of ")


def test_warm_start_takes_published_names(tmp_path):
    config = load_config("aott")
    other, path = build_model(config.model), tmp_path / "other.pth"
    torch.save({"state_dict": to_published(other)}, path)
    model = build_training_model(load_config("aott", [f"train.warm_start={path}"]))
    assert_same_weights(other.state_dict(), model.state_dict())


def test_output_in_the_home_folder_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = resolve_training(load_config("aott", ["train.output=~/run"]))
    assert config.train.output == f"{tmp_path}/run"


def test_warm_start_without_match_rejected(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"head.weight": torch.zeros(2)}, path)
    with pytest.raises(InputError, match=r"train\.warm_start=.*other\.safetensors: no weight matches"):
        build_training_model(load_config("deaott", [f"train.warm_start={path}"]))
