"""Reference outputs and real data: the small files in the repository, and external ones in ../shared."""

import json
import runpy
from collections.abc import Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.networks.build import build_model
from aotlab.networks.deaot import DeAOT
from aotlab.networks.fast.optimize import optimize
from aotlab.networks.identity_bank import one_hot
from aotlab.networks.model import PropagatedFrame, VOSModel
from aotlab.networks.weights.published_keys import convert_published
from tests.golden import synthetic

LOGITS = 5e-4
"""Largest difference of logits."""
SHARED = Path(__file__).resolve().parents[3] / "shared"
SHARED_GOLDEN = SHARED / "golden"
SHIPPED_GOLDEN = Path(__file__).parent / "data"
SHIPPED_MODELS = ("aott", "deaott", "r50_aotl", "r50_deaotl")
SHIPPED_NAMES = {
    *(f"keys/{name}{suffix}.json" for name in SHIPPED_MODELS for suffix in ("", ".optim")),
    *(f"memory/policy_cases{name}" for name in (".json", ".npz", "_rmem.json", "_rmem.npz")),
    *(f"metrics/{name}.json" for name in ("benchmarks", "sequences")),
    *(f"metrics/{name}.npz" for name in ("benchmarks", "pairs", "sequences", "statistics")),
    *(f"models/{name}.npz" for name in (*SHIPPED_MODELS, "data", "eval_aott_davis2017", "loss", "train_aott")),
    "models/schedule.json", "models/sizes.json",
}  # fmt: skip


def golden_file(name: str) -> Path:
    """Return the path of a reference file, in the repository or external; skip the test if it is missing."""
    path = (SHIPPED_GOLDEN if name in SHIPPED_NAMES else SHARED_GOLDEN) / name
    if not path.is_file():
        pytest.skip(f"the reference output {name} is not shipped, and ../shared/golden lacks it")
    return path


def golden_arrays(name: str) -> dict[str, np.ndarray]:
    """Load the arrays of ``name.npz``."""
    with np.load(golden_file(f"{name}.npz")) as file:
        return {key: file[key] for key in file.files}


def golden_table(name: str) -> Any:
    """Load ``name.json``."""
    return json.loads(golden_file(f"{name}.json").read_text())


def golden_recipe(name: str) -> tuple[dict[str, np.ndarray], dict]:
    """Load the arrays and the recipe of a reference file of the models."""
    arrays = golden_arrays(f"models/{name}")
    return arrays, json.loads(str(arrays.pop("meta")))


@lru_cache(4)
def official_weights(variant: str) -> dict[str, torch.Tensor]:
    """Return deterministic weights under their published names; callers must not change them."""
    return synthetic.make_weights(golden_table(f"keys/{variant}"))


@lru_cache(4)
def _build_golden_model(variant: str, overrides: tuple[str, ...]) -> Any:
    model = build_model(load_config(variant, overrides).model)
    model.load_state_dict(convert_published(official_weights(variant), model), strict=True)
    return model.eval()


def golden_model(variant: str, overrides: tuple[str, ...] = (), *, fast: bool = False) -> Any:
    """Return a copy of a model with the reference's weights, perhaps optimized in float32."""
    model = _build_golden_model(variant, overrides)
    return optimize(model, precision="float32") if fast else deepcopy(model)


@lru_cache(2)
def _memory_weights(reference: str) -> Any:
    fill = runpy.run_path(str(golden_file("fill_memory.py")))["fill"]  # external only
    return fill(golden_table(f"keys/{reference}"))


def memory_model(preset: str, reference: str, *, fast: bool) -> Any:
    """Return a model with the weights of a reference in ``memory/``, which were made in another way."""
    model = build_model(load_config(preset).model)
    model.load_state_dict(convert_published(_memory_weights(reference), model), strict=True)
    return optimize(model, precision="float32") if fast else model.eval()


def golden_clip(meta: dict) -> tuple[np.ndarray, np.ndarray]:
    """Draw the frames T×H×W×3 uint8 and masks T×H×W uint8 of a recipe, and verify their checksums."""
    start = {int(number): frame for number, frame in meta["start"].items()}
    length = meta.get("num_frames") or len(meta["frame_names"])
    numbers = (meta[key] for key in ("height", "width", "num_objects", "seed"))
    frames, masks = synthetic.draw_clip(length, *numbers, start=start)
    assert crc32(frames.tobytes()) == meta["frames_crc32"]
    assert crc32(masks.tobytes()) == meta.get("masks_crc32", crc32(masks.tobytes()))
    return frames, masks


def planes(labels: np.ndarray) -> torch.Tensor:
    """Return labels H×W as one-hot planes 1×11×H×W."""
    return one_hot(torch.from_numpy(labels.astype(np.int64)), 11)[None]


def list_maps(model: VOSModel, propagated: PropagatedFrame) -> Sequence[torch.Tensor]:
    """The maps of a frame that were joined to its embeddings; DeAOT has one, of two branches."""
    width = (2 if isinstance(model, DeAOT) else 1) * model.config.dim
    return propagated.maps or propagated.embeddings.split(width, 1)


def tokens(x: torch.Tensor) -> torch.Tensor:
    """Return a map 1×C×h×w in the layout of the reference, L×1×C."""
    return x.flatten(2).permute(2, 0, 1)


def assert_close(found: torch.Tensor, reference: np.ndarray) -> None:
    assert found.shape == reference.shape
    assert np.abs(found.numpy() - reference).max() < LOGITS
