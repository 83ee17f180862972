"""The reference outputs and data that live beside the project, where they are at hand."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.networks.official import from_official
from aotlab.networks.vos_model import VOSModel

SHARED = Path(__file__).resolve().parents[2] / "shared"
GOLDEN = SHARED / "golden"

needs_golden = pytest.mark.skipif(
    not GOLDEN.is_dir(), reason="the reference outputs (../shared/golden) are not here"
)
needs_data = pytest.mark.skipif(
    not (SHARED / "data").is_dir(), reason="the real clips (../shared/data) are not here"
)


def fill_module(name: str = "fill") -> ModuleType:
    """The helper that makes identical weights and clips from names and seeds."""
    spec = importlib.util.spec_from_file_location(f"golden_{name}", GOLDEN / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def golden(name: str) -> tuple[dict[str, np.ndarray], dict]:
    """Arrays and recipe of one reference file."""
    with np.load(GOLDEN / "models" / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return arrays, json.loads(str(arrays.pop("meta")))


def official_weights(variant: str) -> dict[str, torch.Tensor]:
    """Deterministic weights under the published key names."""
    keys = json.loads((GOLDEN / "keys" / f"{variant}.json").read_text())
    return fill_module().fill(keys)


def golden_model(variant: str, overrides: tuple[str, ...] = ()) -> VOSModel:
    """A model with the reference's weights, in evaluation mode."""
    model = VOSModel(load_config(variant, overrides).model)
    model.load_state_dict(from_official(official_weights(variant), model), strict=True)
    return model.eval()


def golden_clip(meta: dict) -> tuple[np.ndarray, np.ndarray]:
    """Frames T×H×W×3 uint8 and masks T×H×W uint8 of a recipe."""
    start = {int(number): frame for number, frame in meta["start"].items()}
    shape = (meta["num_frames"], meta["height"], meta["width"], meta["num_objects"])
    return fill_module().clip(*shape, meta["seed"], start)
