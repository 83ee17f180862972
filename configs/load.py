"""Loading of settings: YAML files with ``base:`` and ``key=value`` overrides, checked against the schema."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aotlab.configs.files import PRESETS, find_settings
from aotlab.configs.schema import Config
from aotlab.configs.yaml_text import UNREADABLE, read_mapping, reason_of, require_small
from aotlab.utils.errors import InputError
from aotlab.utils.files import read_text

RENAMED = {"train.picture_every": "train.image_every"}
"""old keys, still read from checkpoints and files, and their present names"""


def load_config(config: str | Path = "aott", overrides: Sequence[str] = ()) -> Config:
    """Resolve a preset name or a YAML file, with ``base:`` followed and ``a.b=value`` overrides applied.

    ``then:`` in a file adds phases after those of its base. ``base=NAME`` replaces the preset under a recipe. A file
    without ``name:`` is named after its preset and itself: ``recipes/mini.yaml`` over ``aott`` is ``aott_mini``.

    Raises:
        InputError: missing file, unknown key (the nearest valid one is named), wrong type or value.
    """
    path = find_settings(str(config))
    bases = [override.removeprefix("base=") for override in overrides if override.startswith("base=")]
    tree = _resolve(path, bases[-1] if bases else None)
    for override in overrides:
        if not override.startswith("base="):
            apply_override(tree, override)
    return from_tree(tree, str(config))


def from_tree(tree: Any, origin: str) -> Config:
    """Build a `Config` from a mapping; raises as `load_config`, with ``origin`` as the file's name."""
    plain = OmegaConf.to_container(tree) if OmegaConf.is_config(tree) else tree
    _rename_old_keys(plain)
    require_keys(plain, Config, "", origin)
    try:
        schema = OmegaConf.structured(Config)
        _unfreeze(schema)
        merged = OmegaConf.merge(schema, plain)
        return typing.cast(Config, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "a key"
        raise InputError(f"{origin}: {key}: {reason_of(error)}") from error
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"{origin}: {error}") from error


def to_yaml(config: Config) -> str:
    """The resolved settings as YAML text that `load_config` reads back."""
    return OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(config)))


def _resolve(path: Path, preset: str | None) -> DictConfig:
    """Merge a file with its bases; ``preset`` replaces the preset at the bottom."""
    chain = _chain(path, preset)
    tree = OmegaConf.create()
    for settings in reversed(chain):
        then = settings.pop("then", None)
        try:
            tree = typing.cast(DictConfig, OmegaConf.merge(tree, settings))
        except (OmegaConfBaseException, ValueError, TypeError) as error:
            raise InputError(f"{path}: {reason_of(error)}") from error
        if not OmegaConf.is_list(then) and then is not None:
            raise InputError(f"{path}: then: must be a list of phases, got {then}")
        if then:
            phases = OmegaConf.select(tree, "train.phases", default=[])
            OmegaConf.update(tree, "train.phases", [*phases, *then], force_add=True)
    if "name" not in chain[0]:
        below = next((settings.name for settings in chain if "name" in settings), None)
        if below is not None:
            tree["name"] = f"{below}_{path.stem}"
    return tree


def _chain(path: Path, preset: str | None) -> list[DictConfig]:
    """Return the unmerged settings of a file and its bases."""
    top, chain, seen = path, [], set()
    while True:
        if path in seen:
            raise InputError(f"{path}: circular base:; remove it")
        seen.add(path)
        settings = OmegaConf.create(read_mapping(read_text(path, "give a YAML file"), str(path)))
        base = settings.pop("base", None)
        chain.append(settings)
        if base is None:
            break
        below = find_settings(str(base), path.parent)
        if preset is not None and below.parent == PRESETS != path.parent:
            below, preset = find_settings(preset, path.parent), None
        path = below
    if preset is not None:
        raise InputError(f"base={preset}: {top} has no preset below it; load {preset} instead")
    return chain


def apply_override(tree: DictConfig, override: str) -> None:
    """Set one ``a.b=value`` (list items by number: ``model.stages.0.window=7``) in ``tree``."""
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise InputError(f"{override}: an override is written key=value, for example memory.every=2")
    try:
        require_small(value, override[:200])
        value = OmegaConf.select(OmegaConf.from_dotlist([override]), key)
        OmegaConf.update(tree, key, value, merge=True, force_add=True)
    except InputError:
        raise
    except UNREADABLE as error:
        raise InputError(
            f"{override[:200]}: cannot be set ({reason_of(error)}); see configs/schema.py"
        ) from error


def _unfreeze(node: Any) -> None:
    """Make the defaults of frozen dataclasses writable for merging."""
    if OmegaConf.is_config(node):
        OmegaConf.set_readonly(node, False)
        for key in node if isinstance(node, DictConfig) else range(len(node)):
            if not OmegaConf.is_missing(node, key):
                _unfreeze(node._get_node(key))


def _rename_old_keys(tree: Any) -> None:
    """Give keys of `RENAMED` their present names, in place."""
    for old, new in RENAMED.items():
        *sections, key = old.split(".")
        node = tree
        for section in sections:
            node = node.get(section) if isinstance(node, dict) else None
        if isinstance(node, dict) and key in node:
            node.setdefault(new.rpartition(".")[2], node.pop(key))


def require_keys(tree: Any, kind: type, prefix: str, origin: str) -> None:
    """Raise on the first key that the dataclass ``kind`` does not have, naming the nearest one."""
    if not isinstance(tree, Mapping):
        raise InputError(
            f"{origin}: {prefix.rstrip('.') or 'the file'} holds settings (key: value), got {tree!r}"
        )
    hints = typing.get_type_hints(kind)
    for key, value in tree.items():
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1, cutoff=0.4)
            choice = f"did you mean {prefix}{near[0]}?" if near else f"valid keys are {', '.join(hints)}"
            raise InputError(f"{origin}: unknown key {prefix}{key}; {choice}")
        inner = hints[key]
        if dataclasses.is_dataclass(inner):
            require_keys(value, typing.cast(type, inner), f"{prefix}{key}.", origin)
        elif typing.get_origin(inner) in (list, tuple) and isinstance(value, list):
            kind_of_item = typing.get_args(inner)[0]
            for index, item in enumerate(value if dataclasses.is_dataclass(kind_of_item) else ()):
                require_keys(item, kind_of_item, f"{prefix}{key}.{index}.", origin)
