"""Loading of settings from YAML files with ``base:`` and ``key=value`` overrides into dataclasses, by OmegaConf."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from typing_extensions import TypeVar

from aotlab.configs.files import PRESETS, find_config
from aotlab.configs.schema import Config
from aotlab.configs.training import PhaseConfig
from aotlab.utils.errors import InputError
from aotlab.utils.files import read_text

CONFIG_ERRORS = (
    yaml.YAMLError,
    OmegaConfBaseException,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    OverflowError,
    RecursionError,
)
"""errors of PyYAML, OmegaConf and the dataclasses for invalid text, keys and values"""

MAX_DEPTH = 40
"""largest depth of nesting in settings"""

Settings = TypeVar("Settings", default=Config)


def load_config(config: str | Path = "aott", overrides: Sequence[str] = ()) -> Config:
    """Resolve a preset name or a YAML file, with ``base:`` followed and ``a.b=value`` overrides applied.

    ``then:`` in a file adds phases after those of its base. ``base=NAME`` replaces the preset under a recipe. A file
    without ``name:`` is named after its preset and itself: ``recipes/mini.yaml`` over ``aott`` is ``aott_mini``.

    Raises:
        InputError: missing file, unknown key (the nearest valid one is named), wrong type or value.
    """
    path = find_config(str(config))
    presets = [override.removeprefix("base=") for override in overrides if override.startswith("base=")]
    files = _read_bases(path, presets[-1] if presets else None)
    tree = OmegaConf.create()
    for file, settings in reversed(files):
        then = settings.pop("then", None) or []
        if not isinstance(then, list):
            raise InputError(f"{file}: then: must be a list of phases, got {then}")
        try:
            tree = cast(DictConfig, OmegaConf.merge(tree, settings))
            if then:
                phases = OmegaConf.select(tree, "train.phases", default=[])
                OmegaConf.update(tree, "train.phases", [*phases, *then], force_add=True)
        except CONFIG_ERRORS as error:
            raise InputError(f"{file}: {describe_error(error)}") from error
    if "name" not in files[0][1] and "name" in tree:
        tree["name"] = f"{tree['name']}_{path.stem}"
    return build_config(
        tree, str(config), overrides=[key for key in overrides if not key.startswith("base=")]
    )


def build_config(
    tree: Mapping[str, Any] | DictConfig,
    subject: str,
    schema: type[Settings] = Config,  # type: ignore[assignment]
    *,
    overrides: Sequence[str] = (),
) -> Settings:
    """Build the dataclass ``schema`` from a mapping and ``a.b=value`` overrides; ``subject`` names it in messages.

    Raises:
        InputError: unknown key (the nearest valid one is named), wrong type or value.
    """
    tree = cast(DictConfig, OmegaConf.create(tree))  # type: ignore[arg-type]
    defaults = OmegaConf.structured(schema)
    _unfreeze(defaults)
    for override in overrides:
        _apply_override(tree, override, defaults)
    try:
        return cast(Settings, OmegaConf.to_object(OmegaConf.merge(defaults, tree)))
    except CONFIG_ERRORS as error:
        path = _find_item(OmegaConf.to_container(tree), schema, describe_error(error))
        raise InputError(f"{subject}: {describe_error(error, path)}") from error


def parse_yaml(text: str, subject: str, *, untrusted: bool = False) -> dict[str, Any]:
    """Parse a YAML mapping; ``subject`` names it in messages.

    Args:
        untrusted: refuse references by ``${...}``, which may read environment variables.

    Raises:
        InputError: not YAML, not a mapping, a duplicate key, or aliases.
    """
    try:
        _require_plain_yaml(text)
        if untrusted and "${" in text:
            raise ValueError("references by ${...} are not allowed here")
        content = OmegaConf.to_container(OmegaConf.create(text))
    except AssertionError:  # OmegaConf's, for a single number
        content = None
    except CONFIG_ERRORS as error:
        raise InputError(f"{subject}: not readable as YAML ({describe_error(error)})") from error
    if not isinstance(content, dict):
        raise InputError(f"{subject}: not a YAML mapping of settings (key: value)")
    return {str(key): value for key, value in content.items()}


def to_yaml(config: Config) -> str:
    """Return the resolved settings as YAML text that `load_config` reads."""
    return OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(config)))


def describe_error(error: Exception, path: str = "") -> str:
    """Describe an error of `CONFIG_ERRORS` in one line: the line of the text, or key, value and what is expected.

    Args:
        path: path of the list item that the keys of the error are relative to, with a dot at its end.
    """
    kind, node = getattr(error, "object_type", None), getattr(error, "parent_node", None)
    if kind is PhaseConfig and isinstance(node, DictConfig) and not OmegaConf.is_missing(node, "name"):
        return f"phase {node['name']}: {_describe_problem(error)}"
    if path and isinstance(
        error, InputError
    ):  # of a value out of range, which names its list without the item
        return str(error).replace(re.sub(r"\d+\.", "", path), path, 1)
    return _describe_problem(error, path)


def _describe_problem(error: Exception, path: str = "") -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"line {mark.line + 1}: {getattr(error, 'problem', None) or 'syntax'}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    key = re.sub(r"\[(\d+)\]", r".\1", getattr(error, "full_key", None) or "")
    key = f"{path}{key}"
    kind = getattr(error, "object_type", None)
    section, _, name = key.rpartition(".")
    if dataclasses.is_dataclass(kind) and "not in" in reason:
        valid = [field.name for field in dataclasses.fields(kind)]
        near = difflib.get_close_matches(name, valid, n=1, cutoff=0.4)
        prefix = section and f"{section}."
        return (
            f"unknown key {key}; did you mean {prefix}{near[0]}?"
            if near
            else f"unknown key {key}; valid keys are {', '.join(valid)}"
        )
    scalar = re.search(r"is not a subclass of (\w+). value: (.*)", reason)
    if scalar is not None:
        reason = f"expected the settings of {scalar[1]} (key: value), got {scalar[2]}"
    group = re.search(r"Value '(.*)' of type '\w+Config' could not be converted to (\w+)", reason)
    if group is not None:
        reason = f"expected one value ({group[2]}), got {group[1]}"
    return f"{key}: {reason}" if key else reason


def _find_item(settings: Any, schema: type, problem: str, path: str = "") -> str:
    """Return the path, with a dot at its end, of the list item with an error described as ``problem``; "" if none.

    List items are built apart from what holds them, so that their errors lack this path.
    """
    hints = get_type_hints(schema)
    for name, value in settings.items() if isinstance(settings, dict) else ():
        kind = hints.get(name)
        if dataclasses.is_dataclass(kind):
            found = _find_item(value, cast(type, kind), problem, f"{path}{name}.")
            if found:
                return found
        kind = next(filter(dataclasses.is_dataclass, get_args(kind)), None)
        for number, item in enumerate(value if kind is not None and isinstance(value, list) else ()):
            inner, defaults = f"{path}{name}.{number}.", OmegaConf.structured(kind)
            _unfreeze(defaults)
            try:
                OmegaConf.to_object(OmegaConf.merge(defaults, item))
            except CONFIG_ERRORS as error:
                if describe_error(error) == problem:
                    return _find_item(item, cast(type, kind), problem, inner) or inner
    return ""


def _read_bases(path: Path, preset: str | None) -> list[tuple[Path, dict[str, Any]]]:
    """Return the unmerged settings of a file and its bases; ``preset`` replaces the preset at the bottom."""
    top = path
    files: list[tuple[Path, dict[str, Any]]] = []
    while True:
        if any(path == file for file, _ in files):
            raise InputError(f"{path}: circular base:; remove it")
        settings = parse_yaml(read_text(path, "give a YAML file"), str(path))
        base = settings.pop("base", None)
        files.append((path, settings))
        if base is None:
            break
        below = find_config(str(base), path.parent)
        if preset is not None and below.parent == PRESETS != path.parent:
            below, preset = find_config(preset, path.parent), None
        path = below
    if preset is not None:
        raise InputError(f"base={preset}: {top} has no preset below it; load {preset} instead")
    return files


def _apply_override(tree: DictConfig, override: str, defaults: DictConfig) -> None:
    """Set one ``a.b=value`` (list items by number: ``model.stages.0.window=7``) in ``tree``.

    A list that is not in ``tree`` is first copied from ``defaults``.
    """
    key, separator, _ = override.partition("=")
    names = [name for name in key.split(".") if name]
    if not separator or not names:
        raise InputError(f"{override}: an override is written key=value, for example memory.every=2")
    if len(names) <= key.count("."):
        raise InputError(f"unknown key {key[:200]}; did you mean {'.'.join(names)[:200]}?")
    try:
        value = OmegaConf.select(OmegaConf.from_dotlist([override]), key)
        for item in re.finditer(r"\.\d+(?=\.|$)", key):
            name = key[: item.start()]
            default = OmegaConf.select(defaults, name)
            if isinstance(default, ListConfig) and OmegaConf.select(tree, name) is None:
                OmegaConf.update(tree, name, OmegaConf.to_container(default), force_add=True)
        OmegaConf.update(tree, key, value, merge=True, force_add=True)
    except CONFIG_ERRORS as error:
        raise InputError(
            f"{override[:200]}: cannot be set ({describe_error(error)}); check its key"
        ) from error


def _require_plain_yaml(text: str) -> None:
    """Raise ValueError for aliases, which may expand without end, and for nesting that crashes libyaml."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases (*name) are not supported")


def _unfreeze(node: Any) -> None:
    """Make the defaults of frozen dataclasses writable for merging."""
    if OmegaConf.is_config(node):
        OmegaConf.set_readonly(node, False)
        for key in node if isinstance(node, DictConfig) else range(len(node)):
            if not OmegaConf.is_missing(node, key):
                _unfreeze(node._get_node(key))
