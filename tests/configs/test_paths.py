"""Paths and names in settings."""

from pathlib import Path

from aotlab.configs.files import BUNDLED_CHECKPOINT, ROOT, resolve_path
from aotlab.configs.load import load_config
from aotlab.dataloaders.training.phases import find_data_root
from aotlab.engine.training.build import build_training_model
from aotlab.networks.weights.checkpoints import read_settings, read_weights
from aotlab_testing.small_model import assert_same_weights


def test_relative_path_is_found_here_or_in_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = f"pretrain_models/{BUNDLED_CHECKPOINT.name}"
    assert resolve_path(shipped) == ROOT / shipped
    (tmp_path / "pretrain_models").mkdir()
    (tmp_path / shipped).touch()
    assert resolve_path(shipped).resolve() == tmp_path / shipped
    assert resolve_path("nowhere/x.pth") == Path("nowhere/x.pth")
    assert resolve_path("~/x.pth") == Path.home() / "x.pth"
    assert resolve_path("~nobody-here/a") == Path("~nobody-here/a")


def test_finetuning_finds_the_bundled_weights_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config("configs/recipes/finetune.yaml", ["data.root=datasets"])
    model = build_training_model(config)
    assert model.config == read_settings(BUNDLED_CHECKPOINT).model
    weights = {key: tensor.float() for key, tensor in read_weights(BUNDLED_CHECKPOINT).items()}
    assert_same_weights(weights, model.state_dict())
    assert find_data_root(config.data) == ROOT / "datasets"


def test_finetuned_model_tracks_with_the_bundled_settings():
    stored = read_settings(BUNDLED_CHECKPOINT)
    for config in (load_config("aott_mini"), load_config("configs/recipes/finetune.yaml")):
        assert config.replace(name=stored.name, data=stored.data, train=stored.train) == stored
