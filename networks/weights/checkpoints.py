"""Checkpoints: ours (safetensors with the settings inside) and the published ``.pth`` files of the AOT zoo."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from aotlab.configs.files import preset_names
from aotlab.configs.load import apply_override, from_tree, load_config, to_yaml
from aotlab.configs.schema import Config
from aotlab.configs.yaml_text import read_mapping
from aotlab.networks.kernels.folding import is_folded
from aotlab.networks.vos_model import VOSModel
from aotlab.networks.weights.model_card import ModelCard, card_from_json
from aotlab.networks.weights.published_keys import PROMPTS, from_official, grown, is_official, official_names
from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_file, is_file
from aotlab.utils.text import counted

REMOVED = re.compile(r"^ +(?:touching|hold_out): .*\n", re.MULTILINE)
"""training settings of earlier versions, in the settings stored with weights"""


def save_checkpoint(
    path: Path, model: VOSModel, config: Config, *, half: bool = False, card: ModelCard | None = None
) -> None:
    """Write weights, settings and the model card as one safetensors file; ``half`` stores floats in 16 bits.

    Raises:
        InputError: a tracker's model, or the file cannot be written.
    """
    if is_folded(model):
        raise InputError(
            f"{path}: the model of a tracker has its norms folded into its convolutions; save what load_model returns"
        )
    state = {}
    for key, tensor in model.state_dict().items():
        tensor = tensor.detach().cpu().contiguous()
        state[key] = tensor.half() if half and tensor.is_floating_point() else tensor
    metadata = {"format": "pt", "config": to_yaml(config)}
    if card is not None:
        metadata["card"] = card.to_json()
    with atomic_file(path) as file:
        file.write(save(state, metadata=metadata))


def load_checkpoint(
    path: Path, *, config: str | None = None, overrides: Sequence[str] = ()
) -> tuple[VOSModel, Config]:
    """Build the model of a checkpoint and load its weights, strictly.

    Args:
        path: a safetensors file of ours or a published ``.pth`` file.
        config: preset or YAML file; required for ``.pth`` files, which hold no settings. For ours it
            replaces the settings inside.
        overrides: ``key=value`` settings, for example ``memory.every=2``.

    Returns:
        The model in evaluation mode, float32, and its settings.

    Raises:
        InputError: missing, truncated or foreign file; keys or shapes that do not fit the settings.
    """
    state, inside = _read_tensors(path)
    settings = _settings(path, inside, config, overrides)
    model = VOSModel(settings.model)
    if is_official(state):
        state = from_official(state, model)
    _load_strictly(model, state, path, settings.name)
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
        return VOSModel(settings.model).eval(), settings


def load_weights(model: VOSModel, path: Path, name: str) -> None:
    """Load a checkpoint of either kind into a model that is there, strictly, to start training from.

    A model of restricted memory may start from the AOT or DeAOT that it adds to; see `grown`. A prompt network that the
    checkpoint lacks starts from the tracking weights.

    Args:
        model: changes in place.
        path: as for `load_checkpoint`.
        name: what the model is called in messages.

    Raises:
        InputError: missing, truncated or foreign file, another architecture.
    """
    state = read_weights(path)
    if is_official(state):
        state = from_official(state, model)
    state = grown(state, model)
    fresh = model.prompts is not None and not any(key.startswith(PROMPTS) for key in state)
    if fresh:
        state |= {key: tensor for key, tensor in model.state_dict().items() if key.startswith(PROMPTS)}
    _load_strictly(model, state, path, name)
    if fresh and model.prompts is not None:
        model.prompts.start_from(model)


def read_settings(path: Path | None, *, config: str | None = None, overrides: Sequence[str] = ()) -> Config:
    """The settings that `build_or_load` would use, without building a model.

    With ``config`` the file is not read; raises as `load_checkpoint`.
    """
    if path is None:
        return load_config(config or "aott", overrides)
    inside = None if config is not None else _read_tensors(path)[1]
    return _settings(path, inside, config, overrides)


def read_card(path: Path) -> ModelCard | None:
    """The model card of a checkpoint; None if it has no card, as published files. Raises as `load_checkpoint`."""
    if path.suffix != ".safetensors":
        return None
    with _opened(path) as file:
        return card_from_json((file.metadata() or {}).get("card"))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, under the names they have there; raises as `load_checkpoint`."""
    state = _read_tensors(path)[0]
    require_finite(state, path)
    return state


def _read_tensors(path: Path) -> tuple[dict[str, Tensor], str | None]:
    """Weights, and the settings stored with them if there are any."""
    if not is_file(path):
        raise InputError(f"{path}: no such checkpoint; give a file, or a name of aotlab weights list")
    if path.suffix != ".safetensors":
        return _read_pth(path), None
    with _opened(path) as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return tensors, (file.metadata() or {}).get("config")


def _settings(path: Path, inside: str | None, config: str | None, overrides: Sequence[str]) -> Config:
    """The settings of ``config``, else those stored in the file, with overrides."""
    if config is not None:
        return load_config(config, overrides)
    if inside is None:
        names = ", ".join(preset_names())
        raise InputError(f"{path}: this file does not name its variant; give config as one of {names}")
    origin = f"{path}: settings in the file"
    if "${" in inside:
        raise InputError(
            f"{origin}: refer to other values by ${{...}}, which is not allowed; fetch or train it again"
        )
    tree = OmegaConf.create(read_mapping(REMOVED.sub("", inside), origin))
    for override in overrides:
        apply_override(tree, override)
    return from_tree(tree, f"{path} with {' '.join(overrides)}" if overrides else origin)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Yield an open safetensors file; raise `InputError` if it cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: truncated or not a safetensors file ({error}); fetch or train it again"
        ) from error


def _read_pth(path: Path) -> dict[str, Tensor]:
    """Weights of a published file: under ``state_dict``, ``model``, or the file itself."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of other protocols; what matters is an error
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # damaged files raise whatever the unpickler stumbles over
        # Not PyTorch's words, which tell how to load the file unsafely.
        if isinstance(error, pickle.UnpicklingError) and re.search("Unsupported (global|class)", str(error)):
            raise InputError(
                f"{path}: holds objects besides weights, and loading them could run any program; "
                "give a file with a dict of tensors"
            ) from None
        raise InputError(
            f"{path}: truncated or not a PyTorch checkpoint ({type(error).__name__}); fetch it again"
        ) from None
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"{path}: holds no weights; expected a dict of tensors, or one under 'state_dict'")
    _require_dense(content, path)
    return {str(key).removeprefix("module."): tensor for key, tensor in content.items()}


def _require_dense(state: Mapping[object, Tensor], path: Path) -> None:
    """Raise InputError for tensors of other kinds than numbers in memory."""
    for key, tensor in state.items():
        kind = None
        if tensor.is_meta:
            kind = "without values (meta)"
        elif tensor.is_quantized or tensor.is_complex():
            kind = f"of type {tensor.dtype}"
        elif tensor.layout != torch.strided:
            kind = f"of layout {tensor.layout}"
        if kind is not None:
            raise InputError(f"{path}: {key} is a tensor {kind}; weights are dense floating-point tensors")


def require_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """Raise InputError for weights that are NaN or infinite, as those of a training that diverged."""
    broken = [key for key, x in state.items() if x.is_floating_point() and not x.float().isfinite().all()]
    if broken:
        names = f"{', '.join(broken[:3])}{', ...' if len(broken) > 3 else ''}"
        raise InputError(
            f"{path}: {counted(len(broken), 'tensor')} with values that are not finite ({names}); the training "
            "diverged or the file is damaged, use another checkpoint"
        )


def _load_strictly(model: VOSModel, state: Mapping[str, Tensor], path: Path, name: str) -> None:
    """Load all keys or raise one sentence that lists what does not fit; prompts are optional on the model's side."""
    current = model.state_dict()
    if model.prompts is None:
        state = {key: tensor for key, tensor in state.items() if not key.startswith(PROMPTS)}
    names = official_names(current)
    missing = [names[key] for key in current if key not in state]
    extra = [key for key in state if key not in current]
    shapes = [key for key in current if key in state and current[key].shape != state[key].shape]
    if not (missing or extra or shapes):
        require_finite(state, path)
        model.load_state_dict({key: tensor.float() for key, tensor in state.items()})
        return
    problems = [
        f"{len(keys)} keys {what} ({', '.join(keys[:5])}{', ...' if len(keys) > 5 else ''})"
        for keys, what in ((missing, "missing"), (extra, "unknown"), (shapes, "of another shape"))
        if keys
    ]
    fitting = [preset for preset in preset_names() if _fits(preset, state)]
    advice = (
        f"this file is {' or '.join(fitting)}, use config {fitting[0]}" if fitting else "it fits no preset"
    )
    raise InputError(f"{path}: does not fit {name}: {'; '.join(problems)}; {advice}")


def _fits(preset: str, state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict, in our names or published ones, is of a preset's architecture."""
    state = {key: tensor for key, tensor in state.items() if not key.startswith(PROMPTS)}
    given = official_names(state)
    return _shapes_of(preset) == {given[key]: tensor.shape for key, tensor in state.items()}


@cache
def _shapes_of(preset: str) -> dict[str, torch.Size]:
    """Return the shapes of a preset's weights by their published names."""
    with torch.device("meta"):
        expected = VOSModel(load_config(preset).model).state_dict()
    names = official_names(expected)
    return {names[key]: tensor.shape for key, tensor in expected.items()}
