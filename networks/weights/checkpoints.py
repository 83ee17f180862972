"""Checkpoints: aotlab's (safetensors with the settings inside) and the published ``.pth`` files of the AOT zoo."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from aotlab.configs.files import name_source
from aotlab.configs.load import apply_overrides, build_config, drop_unknown_records, load_config, parse_yaml, to_yaml
from aotlab.configs.plugins import SETTINGS, describe_plugins, list_changed_code, replace_missing_plugins
from aotlab.configs.schema import Config
from aotlab.networks.build import build_model
from aotlab.networks.fast.optimize import is_optimized
from aotlab.networks.model import VOSModel
from aotlab.networks.weights.published import list_published_weights
from aotlab.networks.weights.published_keys import (
    add_missing_weights,
    convert_published,
    guess_presets,
    is_published,
)
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import reading, write_bytes
from aotlab.utils.text import join_truncated
from aotlab.utils.versioned_files import load_pickle

log = logging.getLogger(__name__)

ORIGINS = TypeAdapter(dict[str, dict[str, str]])


def save_checkpoint(
    path: Path, model: VOSModel, config: Config, *, half: bool = False, card: str | None = None
) -> None:
    """Write weights, settings and the JSON of a model card as one safetensors file; ``half`` stores 16-bit floats."""
    require(
        not is_optimized(model),
        "a tracker's model is fused",
        subject=path,
        remedy="save the model that load_model returns",
    )
    metadata = {"config": to_yaml(config)}
    if plugins := describe_plugins(config):
        metadata["plugins"] = json.dumps(plugins)
    write_weights(path, model, metadata, half=half, card=card)


def write_weights(path: Path, model: nn.Module, metadata: dict[str, str], *, half: bool, card: str | None) -> None:
    """Write weights, metadata and the JSON of a model card as one safetensors file."""
    state = {}
    for key, tensor in model.state_dict().items():
        tensor = tensor.detach().cpu().contiguous()
        state[key] = tensor.half() if half and tensor.is_floating_point() else tensor
    metadata = {"format": "pt", **metadata}
    if card is not None:
        metadata["card"] = card
    write_bytes(path, save(state, metadata=metadata))


def load_checkpoint(path: Path, *, config: str | None = None, overrides: Sequence[str] = ()) -> tuple[VOSModel, Config]:
    """Build the model of a checkpoint and load its weights, strictly.

    Args:
        path: a safetensors file of ours or a published ``.pth`` file.
        config: preset or YAML file instead of the settings inside. ``.pth`` files have no settings; their default is
            the preset of the file's name in the published table, or else the first whose keys match.
        overrides: ``key=value`` settings, for example ``memory.every=2``.

    Returns:
        The model in evaluation mode, float32, and its settings.

    Raises:
        InputError: missing, truncated or foreign file; keys or shapes that do not fit the settings.
    """
    state, metadata = read_checkpoint(path)
    if config is None and "config" not in metadata:
        config, *others = _guess_presets(path, state)
        if others:
            log.warning("%s: loaded as %s; its keys also fit %s (config=)", path, config, " or ".join(others))
    if config is not None:
        settings = load_config(config, overrides)
    else:
        settings = _parse_settings(path, metadata, overrides, level=logging.WARNING)
        if changed := describe_changed_code(settings, metadata):
            log.warning("%s: %s; its results are those of another model", path, changed)
    model = build_model(settings.model)
    if is_published(state):
        state = convert_published(state, model)
    _load_strictly(model, state, path, settings.name)
    return model.eval(), settings


def describe_changed_code(settings: Config, metadata: Mapping[str, str]) -> str:
    """Return a sentence about plug-ins whose code is not that of a checkpoint's training; empty if all are."""
    changed = list_changed_code(settings, json.loads(metadata.get("plugins", "{}")))
    names = ", ".join(f"{key}={describe_plugins(settings)[key]['name']}" for key in changed)
    return f"code of {names} has changed since it was trained" if changed else ""


def require_trained_code(path: Path, overrides: Sequence[str] = ()) -> None:
    """Raise `InputError` if the code of a checkpoint's plug-ins has changed since it was trained."""
    metadata = read_checkpoint(path, weights=False)[1]
    changed = describe_changed_code(_parse_settings(path, metadata, overrides), metadata) if metadata else ""
    require(not changed, changed, subject=path, remedy="give the code of its training, or leave out --strict")


def build_or_load(
    path: Path | None, *, config: str | None = None, overrides: Sequence[str] = ()
) -> tuple[VOSModel, Config]:
    """Return `load_checkpoint`, or without a path the model of a preset (aott) with fixed random weights."""
    if path is not None:
        return load_checkpoint(path, config=config, overrides=overrides)
    settings = read_settings(path, config=config, overrides=overrides)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_model(settings.model).eval(), settings


def load_weights(model: VOSModel, path: Path, name: str) -> None:
    """Load a checkpoint of either kind into an existing model, strictly, to start training from.

    RMem's model may start from the AOT or DeAOT that it extends; see `add_missing_weights`. ``name`` is the model's in
    messages, which name ``train.warm_start``.
    """
    state, _ = read_checkpoint(path)
    if is_published(state):
        state = convert_published(state, model)
    state = add_missing_weights(state, model)
    _load_strictly(model, state, path, name, "; train.warm_start loads only the weights that fit")


def read_settings(path: Path | None, *, config: str | None = None, overrides: Sequence[str] = ()) -> Config:
    """Return the settings of `build_or_load` without building a model; with ``config`` the file is not read."""
    if path is None or config is not None:
        return load_config(config or "aott", overrides)
    _, metadata = read_checkpoint(path, weights=False)
    if "config" in metadata:
        return _parse_settings(path, metadata, overrides)
    return load_config(_guess_presets(path, read_checkpoint(path)[0])[0], overrides)


def read_card(path: Path) -> str | None:
    """Return the JSON of a checkpoint's model card; None for published files."""
    return read_checkpoint(path, weights=False)[1].get("card")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file under their names in it."""
    state = read_checkpoint(path)[0]
    require_finite(state, path)
    return state


def read_checkpoint(path: Path, *, weights: bool = True) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the weights, if asked for, and the metadata of a file: settings and model card of ours, else nothing."""
    with reading(path, "download or train it again", SafetensorError):
        if not is_safetensors(path):
            return _read_pth(path) if weights else {}, {}
        with safe_open(path, framework="pt") as opened:
            keys, metadata = opened.keys() if weights else (), opened.metadata() or {}
            state = {key: opened.get_tensor(key) for key in keys}
    return state, metadata


def is_safetensors(path: Path) -> bool:
    """Return whether a file is one of ours, by its name or content."""
    with path.open("rb") as file:
        return path.suffix == ".safetensors" or file.read(9)[8:] == b"{"


def _read_pth(path: Path) -> dict[str, Tensor]:
    """Return the weights of a published file: under ``state_dict``, ``model``, or the file itself."""
    content = load_pickle(path)
    if isinstance(content, Mapping) and {"model", "ema", "optimizer"} <= content.keys():
        raise InputError(
            "the state of a training run, not its weights",
            subject=path,
            remedy=f"give PHASE.safetensors or best.safetensors of {path.absolute().parents[1]}",
        )
    if isinstance(content, Mapping):
        held = map(content.get, ("state_dict", "model"))
        content = next((weights for weights in held if isinstance(weights, Mapping)), content)
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError("not a dict of tensors, or one under 'state_dict'")
    return {str(key).removeprefix("module."): tensor for key, tensor in content.items()}


def _guess_presets(path: Path, state: Mapping[str, Tensor]) -> list[str]:
    """Return the presets whose keys match; only the one of the file's name if it is a published file."""
    presets = guess_presets(state)
    require(presets, "its keys fit no preset", subject=path, remedy="give a checkpoint of a tracking model")
    published = [entry.name for entry in list_published_weights().values() if entry.file == path.name]
    return [name for name in published if name in presets] or presets


def _parse_settings(
    path: Path, metadata: Mapping[str, str], overrides: Sequence[str], *, level: int = logging.DEBUG
) -> Config:
    """Return the settings stored in a file, with overrides; ``level`` is that of the message about unknown keys."""
    tree = drop_unknown_records(parse_yaml(metadata["config"], f"{path}: settings in the file"), path, level)
    if "plugins" in metadata:
        with reading(path, "download or train it again"):
            origins = _parse_origins(metadata["plugins"], tree)
            tree = replace_missing_plugins(tree, origins, apply_overrides({}, overrides))
    config = build_config(tree, str(path))
    return build_config(tree, f"settings for {name_source(path)}", overrides=overrides) if overrides else config


def _parse_origins(text: str, settings: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the origins of `describe_plugins` for stored settings; raise `ValueError` for other values."""
    origins = ORIGINS.validate_json(text)
    for setting, origin in origins.items():
        section, *names = setting.split(".", 2)
        is_known = f"{section}.{names[0] if names else ''}" in SETTINGS and isinstance(
            settings.get(section, {}), Mapping
        )
        if not is_known or "name" not in origin or not ("file" in origin or {"package", "version"} <= origin.keys()):
            raise ValueError(f"its plug-in {setting[:80]!r} has no known origin")
    return origins


def require_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """Raise InputError for weights that are NaN or infinite, as after diverged training, and for complex ones."""
    names = [
        key for key, x in state.items() if x.is_complex() or (x.is_floating_point() and not x.float().isfinite().all())
    ]
    problem = f"weights that are not finite real numbers ({', '.join(names[:5])})"
    require(not names, problem, subject=path, remedy="use another checkpoint")


def _load_strictly(model: VOSModel, state: Mapping[str, Tensor], path: Path, name: str, remedy: str = "") -> None:
    """Load all keys; ``name`` is the model's in messages, ``remedy`` the end of the one about keys that do not fit."""
    try:
        require_finite(state, path)
        model.load_state_dict({key: tensor.float() for key, tensor in state.items()})
    except RuntimeError as error:
        presets = guess_presets(state)
        fits = f"its keys fit {' or '.join(presets) or 'no preset'}"
        if name in presets:
            fits = "if it is damaged, download or train it again; else give the settings that it was trained with"
        problem = f"does not fit {name} ({_describe_misfit(model.state_dict(), state)})"
        raise InputError(problem, subject=path, remedy=f"{fits}{remedy}") from error


def _describe_misfit(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """Return the first keys of each kind that keep weights from being loaded."""
    kinds = {
        "missing keys": [key for key in expected if key not in state],
        "unexpected keys": [key for key in state if key not in expected],
        "size mismatch for": [key for key in expected if key in state and state[key].shape != expected[key].shape],
    }
    return ", ".join(f"{kind} {join_truncated(keys, 2)}" for kind, keys in kinds.items() if keys)
