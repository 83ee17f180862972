"""Paths in settings lead to the same file from any working directory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aotlab.configs.files import BUNDLED_CHECKPOINT, ROOT, setting_path
from aotlab.configs.load import load_config
from aotlab.dataloaders.training.phases import data_root
from aotlab.engine.training.build import build_model
from aotlab.networks.weights.checkpoints import read_settings
from aotlab.utils.errors import InputError


def test_bundled_names_the_weights_that_come_with_the_package() -> None:
    assert setting_path("bundled") == BUNDLED_CHECKPOINT
    assert read_settings(BUNDLED_CHECKPOINT).name


def test_an_unknown_home_is_one_sentence() -> None:
    with pytest.raises(InputError, match="~nobody-here/a: unknown home"):
        setting_path("~nobody-here/a")


def test_a_relative_path_is_looked_for_here_and_then_beside_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = f"pretrain_models/{BUNDLED_CHECKPOINT.name}"
    assert setting_path(shipped) == ROOT / shipped
    (tmp_path / "pretrain_models").mkdir()
    (tmp_path / shipped).touch()
    assert setting_path(shipped).resolve() == tmp_path / shipped
    assert setting_path("nowhere/x.pth") == Path("nowhere/x.pth")
    assert setting_path("~/x.pth") == Path.home() / "x.pth"


def test_fine_tuning_starts_from_the_bundled_weights_in_any_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config("configs/recipes/finetune.yaml", ["data.root=datasets"])
    bundled = read_settings(BUNDLED_CHECKPOINT).model
    assert build_model(config).config == replace(bundled, prompt_blocks=0)
    assert data_root(config.data) == ROOT / "datasets"
