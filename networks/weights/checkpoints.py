"""Checkpoints: aotlab's (safetensors with the settings inside) and the published ``.pth`` files of the AOT zoo."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from aotlab.configs.load import build_config, load_config, parse_yaml, to_yaml
from aotlab.configs.schema import Config
from aotlab.configs.training import TrainConfig
from aotlab.networks.build import build_model
from aotlab.networks.model import VOSModel
from aotlab.networks.weights.published import list_published_weights
from aotlab.networks.weights.published_keys import (
    PROMPT_PREFIX,
    add_missing_weights,
    convert_published,
    guess_presets,
    is_published,
)
from aotlab.utils.errors import InputError
from aotlab.utils.files import write_bytes

log = logging.getLogger(__name__)

TRAIN_SETTINGS = {setting.name for setting in fields(TrainConfig)}


def save_checkpoint(
    path: Path, model: VOSModel, config: Config, *, half: bool = False, card: str | None = None
) -> None:
    """Write weights, settings and the JSON of a model card as one safetensors file; ``half`` stores 16-bit floats.

    Raises:
        InputError: a tracker's optimized model, or the file cannot be written.
    """
    if model.optimized:
        raise InputError(
            f"{path}: a tracker's optimized model has fused weights; save the model that load_model returns"
        )
    state = {}
    for key, tensor in model.state_dict().items():
        tensor = tensor.detach().cpu().contiguous()
        state[key] = tensor.half() if half and tensor.is_floating_point() else tensor
    metadata = {"format": "pt", "config": to_yaml(config)}
    if card is not None:
        metadata["card"] = card
    write_bytes(path, save(state, metadata=metadata))


def load_checkpoint(
    path: Path, *, config: str | None = None, overrides: Sequence[str] = ()
) -> tuple[VOSModel, Config]:
    """Build the model of a checkpoint and load its weights, strictly.

    Args:
        path: a safetensors file of ours or a published ``.pth`` file.
        config: preset or YAML file in place of the settings inside. ``.pth`` files hold none; their default is
            the preset of the file's name in the published table, or else the first whose keys match.
        overrides: ``key=value`` settings, for example ``memory.every=2``.

    Returns:
        The model in evaluation mode, float32, and its settings.

    Raises:
        InputError: missing, truncated or foreign file; keys or shapes that do not fit the settings.
    """
    state, metadata = _read(path)
    if config is None and "config" not in metadata:
        config, *others = _guess_presets(path, state)
        if others:
            log.warning(
                "%s: read as %s; for the memory of %s pass it as config", path, config, " or ".join(others)
            )
    if config is not None:
        settings = load_config(config, overrides)
    else:
        settings = _parse_settings(path, metadata["config"], overrides)
    model = build_model(settings.model)
    if is_published(state):
        state = convert_published(state, model)
    remedy = "leave out the config and settings of the model, as the file holds its own"
    _load_strictly(model, state, path, settings.name, remedy if "config" in metadata else "")
    return model.eval(), settings


def build_or_load(
    path: Path | None, *, config: str | None = None, overrides: Sequence[str] = ()
) -> tuple[VOSModel, Config]:
    """`load_checkpoint`, or without a path the model of a preset (aott) with the same random weights every time."""
    if path is not None:
        return load_checkpoint(path, config=config, overrides=overrides)
    settings = read_settings(path, config=config, overrides=overrides)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_model(settings.model).eval(), settings


def load_weights(model: VOSModel, path: Path, name: str) -> None:
    """Load a checkpoint of either kind into an existing model, strictly, to start training from.

    A model of restricted memory may start from the AOT or DeAOT that it extends; see `add_missing_weights`. A prompt
    network that the checkpoint lacks keeps its initial weights.

    Args:
        model: changes in place.
        path: as for `load_checkpoint`.
        name: name of the model in messages.

    Raises:
        InputError: missing, truncated or foreign file, another architecture.
    """
    state, metadata = _read(path)
    if is_published(state):
        state = convert_published(state, model)
    state = add_missing_weights(state, model)
    if not any(key.startswith(PROMPT_PREFIX) for key in state):
        state |= {key: tensor for key, tensor in model.state_dict().items() if key.startswith(PROMPT_PREFIX)}
    remedy = "train with the settings that the file holds, or give it as train.warm_start"
    _load_strictly(model, state, path, name, remedy if "config" in metadata else "")


def read_settings(path: Path | None, *, config: str | None = None, overrides: Sequence[str] = ()) -> Config:
    """Return the settings that `build_or_load` would use, without building a model.

    With ``config`` the file is not read; raises as `load_checkpoint`.
    """
    if path is None or config is not None:
        return load_config(config or "aott", overrides)
    metadata = _read_metadata(path)
    if "config" in metadata:
        return _parse_settings(path, metadata["config"], overrides)
    return load_config(_guess_presets(path, _read(path)[0])[0], overrides)


def read_card(path: Path) -> str | None:
    """Return the JSON of a checkpoint's model card; None for published files. Raises as `load_checkpoint`."""
    return _read_metadata(path).get("card")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file, under the names they have there; raises as `load_checkpoint`."""
    state = _read(path)[0]
    require_finite(state, path)
    return state


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the weights and the metadata of a file: settings and model card of ours, nothing of published ones."""
    with reading_checkpoint(path):
        if not is_safetensors(path):
            return _read_pth(path), {}
        with safe_open(path, framework="pt") as opened:
            state = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
            return state, opened.metadata() or {}


def _read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a file without reading its weights."""
    with reading_checkpoint(path):
        if not is_safetensors(path):
            return {}
        with safe_open(path, framework="pt") as opened:
            return opened.metadata() or {}


@contextmanager
def reading_checkpoint(path: Path) -> Iterator[None]:
    """Raise `InputError` in place of the errors of a file that is missing or damaged."""
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}); check its permissions"
        ) from error
    except SafetensorError as error:
        raise InputError(f"{path}: truncated or damaged ({error}); download or train it again") from error


def is_safetensors(path: Path) -> bool:
    """Return whether a file is one of ours, by its name or content; raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return path.suffix == ".safetensors" or file.read(9)[8:] == b"{"


def _read_pth(path: Path) -> dict[str, Tensor]:
    """Return the weights of a published file: under ``state_dict``, ``model``, or the file itself."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of other protocols
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # damaged files cause errors of any kind
        # PyTorch's message describes how to load the file unsafely
        raise InputError(
            f"{path}: truncated, not a PyTorch checkpoint, or with objects besides weights, which could run any "
            f"program ({type(error).__name__}); download it again, or give a file with a dict of tensors"
        ) from None
    if isinstance(content, Mapping) and {"model", "ema", "optimizer"} <= content.keys():
        raise InputError(
            f"{path}: the state of a training run, not its weights; give PHASE.safetensors or best.safetensors of "
            f"{path.absolute().parents[1]}"
        )
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not all(_is_weight(value) for value in content.values()):
        raise InputError(
            f"{path}: holds no weights; expected a dict of dense real tensors, or one under 'state_dict'"
        )
    return {str(key).removeprefix("module."): tensor for key, tensor in content.items()}


def _is_weight(value: object) -> bool:
    """Return whether a value of a foreign file is a tensor with real entries in memory."""
    if not isinstance(value, Tensor) or value.layout != torch.strided:
        return False
    return not (value.is_meta or value.is_quantized or value.is_complex())


def _guess_presets(path: Path, state: Mapping[str, Tensor]) -> list[str]:
    """Return the presets whose keys match; only the one of the file's name if it is a published file.

    Raises:
        InputError: no preset has these keys.
    """
    likely = guess_presets(state)
    if not likely:
        raise InputError(
            f"{path}: its weights fit none of the presets; give a checkpoint of a tracking model"
        )
    named = [entry.name for entry in list_published_weights().values() if entry.file == path.name]
    return [name for name in named if name in likely] or likely


def _parse_settings(path: Path, text: str, overrides: Sequence[str]) -> Config:
    """Return the settings stored in a file, with overrides."""
    subject = f"{path}: settings in the file"
    tree = parse_yaml(text, subject)
    train = tree.get("train")
    if isinstance(train, Mapping):  # a record only: settings of other versions do not matter
        tree["train"] = {name: value for name, value in train.items() if name in TRAIN_SETTINGS}
    return build_config(
        tree, f"{path} with {' '.join(overrides)}" if overrides else subject, overrides=overrides
    )


def find_non_finite(state: Mapping[str, Tensor]) -> list[str]:
    """Return the names of tensors with NaN or infinite values."""
    return [key for key, x in state.items() if x.is_floating_point() and not x.float().isfinite().all()]


def require_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """Raise InputError for weights that are NaN or infinite, as after a training that diverged."""
    broken = find_non_finite(state)
    if broken:
        raise InputError(
            f"{path}: weights that are not finite ({_shorten(broken)}); the training diverged or the file is damaged, "
            "use another checkpoint"
        )


def _load_strictly(model: VOSModel, state: Mapping[str, Tensor], path: Path, name: str, advice: str) -> None:
    """Load all keys, or raise one sentence that lists those that do not match; a model may lack the prompt network.

    ``name`` is the model's; ``advice`` the remedy for another architecture, empty for a file without settings.
    """
    current = model.state_dict()
    if model.prompts is None:
        state = {key: tensor for key, tensor in state.items() if not key.startswith(PROMPT_PREFIX)}
    mismatches = {
        "missing": [key for key in current if key not in state],
        "unknown": [key for key in state if key not in current],
        "of another shape": [
            key for key in current if key in state and current[key].shape != state[key].shape
        ],
    }
    problems = [f"{len(keys)} keys {kind} ({_shorten(keys)})" for kind, keys in mismatches.items() if keys]
    if problems:
        likely = [] if advice else guess_presets(state)
        if likely and name not in likely:
            advice = f"this file is {' or '.join(likely)}, use config {likely[0]}"
        advice = advice or "give the settings it was trained with"
        raise InputError(f"{path}: does not fit {name}: {'; '.join(problems)}; {advice}")
    require_finite(state, path)
    model.load_state_dict({key: tensor.float() for key, tensor in state.items()})


def _shorten(keys: Sequence[str]) -> str:
    """Return the first keys for a message."""
    return f"{', '.join(keys[:5])}{', ...' if len(keys) > 5 else ''}"
