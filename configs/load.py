"""Loading of settings: YAML files with ``base:`` and ``key=value`` overrides, built into typed dataclasses.

Each value is checked against the type and range of its field; the dataclasses check values that depend on each other.
"""

from __future__ import annotations

import difflib
import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, ClassVar, get_args, get_origin, get_type_hints

import yaml
from typing_extensions import TypeVar

from aotlab.configs.files import PRESETS, find_config
from aotlab.configs.methods import find_method
from aotlab.configs.plugins import load_plugins
from aotlab.configs.schema import Config, ModelConfig, list_resets
from aotlab.utils.errors import InputError, require, require_choice
from aotlab.utils.files import prefix_errors, read_text
from aotlab.utils.numbers import Range
from aotlab.utils.text import join_truncated

log = logging.getLogger(__name__)

Settings = TypeVar("Settings", default=Config)
SCALARS: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "an integer"),
    float: ((float, int), "a number"),
    str: ((str, int), "text"),
}
"""YAML types accepted for each type of setting, and its description in messages."""
RECORDS = ("rules", "compute", "data", "train")
"""Sections that change no weights: those stored with weights are a record, which may be of another version."""


def load_config(config: str | Path = "aott", overrides: Sequence[str] = ()) -> Config:
    """Resolve a preset name or a YAML file, with ``base:`` followed and ``a.b=value`` overrides applied.

    ``base:`` names a preset, a recipe, or a file by its path relative to this one.
    ``plugins:`` lists plug-in files by their paths relative to this one; they are run (`load_plugins`).
    ``then:`` in a file adds phases after the base's phases. ``base=NAME`` replaces the preset under a recipe. A file
    without ``name:`` is named after its preset and itself: ``recipes/mini.yaml`` over ``aott`` is ``aott_mini``.

    Raises:
        InputError: missing file, unknown key (names the nearest valid one), wrong type or value.
    """
    path = find_config(str(config))
    presets = [override.removeprefix("base=") for override in overrides if override.startswith("base=")]
    files = _read_bases(path, presets[-1] if presets else None)
    tree: dict[str, Any] = {}
    for file, settings in reversed(files):
        then = settings.pop("then", None) or []
        require(isinstance(then, list), f"then: must be a list of phases, got {then}", subject=file)
        tree = _merge(apply_overrides(tree, list_resets(settings)), settings)
        train = tree.get("train", {})
        phases = train.get("phases", []) if isinstance(train, Mapping) else None
        if then and isinstance(phases, list):  # `build_config` refuses other types
            tree["train"] = {**train, "phases": [*phases, *then]}
    if "name" not in files[0][1] and "name" in tree:
        tree["name"] = f"{tree['name']}_{path.stem}"
    others = [override for override in overrides if not override.startswith("base=")]
    return build_config(tree, str(config), overrides=others)


def build_config(
    tree: Mapping[str, Any],
    subject: str,
    schema: type[Settings] = Config,  # type: ignore[assignment]
    *,
    overrides: Sequence[str] = (),
) -> Settings:
    """Build the dataclass ``schema`` from a mapping and ``a.b=value`` overrides; ``subject`` names it in messages.

    Raises:
        InputError: unknown key (names the nearest valid one), wrong type or value.
    """
    with prefix_errors(subject):
        if overrides:  # on top of the defaults, so that items of default lists can be overridden
            defaults = asdict(schema())  # type: ignore[call-overload]
            if schema is Config:
                defaults["model"]["stages"] = [{}]  # of the tree's method
            tree = _merge(defaults, tree)
            tree = apply_overrides(tree, [*list_resets(apply_overrides({}, overrides)), *overrides])
        return _convert(schema, tree, "")


def apply_overrides(tree: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Apply overrides ``a.b=value``; a number selects an item of a list: ``model.stages.0.window=7``.

    Raises:
        InputError: not key=value, not YAML after "=", or no such list item.
    """
    settings = dict(tree)
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not all(key.split(".")):
            raise InputError("an override is written key=value, for example memory.every=2", subject=override)
        settings = _replace(settings, key.split("."), _load_yaml(text, override), "")
    return settings


def parse_yaml(text: str, subject: str) -> dict[str, Any]:
    """Parse a YAML mapping; ``subject`` names it in messages.

    Raises:
        InputError: not YAML, not a mapping, a duplicate key, or aliases.
    """
    content = _load_yaml(text, subject)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError("not a YAML mapping of settings (key: value)", subject=subject)
    return {str(key): value for key, value in content.items()}


def drop_unknown_records(tree: Mapping[str, Any], subject: object, level: int = logging.WARNING) -> dict[str, Any]:
    """Return settings stored with weights without unknown keys of `RECORDS`, which one message names."""
    dropped: list[str] = []
    kinds = get_type_hints(Config)
    kept = {
        name: _drop_unknown(kinds[name], value, name, dropped) if name in RECORDS else value
        for name, value in tree.items()
    }
    if dropped:
        log.log(level, "%s: ignoring settings of another version: %s", subject, join_truncated(dropped))
    return kept


def _drop_unknown(kind: Any, value: Any, path: str, dropped: list[str]) -> Any:
    """Return a value without keys that dataclasses of its type lack; append their paths to ``dropped``."""
    if is_dataclass(kind) and isinstance(value, Mapping):
        kinds = get_type_hints(kind)
        dropped += [f"{path}.{key}" for key in value if key not in kinds]
        known = [key for key in value if key in kinds]
        return {key: _drop_unknown(kinds[key], value[key], f"{path}.{key}", dropped) for key in known}
    if get_origin(kind) is list and isinstance(value, list):
        return [_drop_unknown(get_args(kind)[0], item, f"{path}.{i}", dropped) for i, item in enumerate(value)]
    return value


def to_yaml(config: Any) -> str:
    """Return a dataclass of settings as YAML text, which `load_config` reads if it is a `Config`."""
    return yaml.safe_dump(asdict(config), sort_keys=False, allow_unicode=True)


def flatten_settings(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested dicts and lists with their paths such as ``memory.every``."""
    if isinstance(value, dict | list) and value:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from flatten_settings(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


class SettingsLoader(yaml.SafeLoader):
    """YAML loader that reads true, false, null and decimal numbers; all else is text, including dates and 007.

    It refuses duplicate keys, and aliases, which may expand without end.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node; raises MarkedYAMLError for an alias or a duplicate key."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(None, None, "aliases (*name) are not supported", self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        keys = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if str(key.value) in keys:
                raise yaml.MarkedYAMLError(None, None, f"found duplicate key {key.value}", key.start_mark)
            keys.add(str(key.value))
        return node


for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"-?(0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    SettingsLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})$"), list(_first))


def _load_yaml(text: str, subject: str) -> Any:
    try:
        return yaml.load(text, SettingsLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        reason = f"line {line}: {error.problem}"
    except RecursionError:
        reason = "nested too deeply"
    except (yaml.YAMLError, ValueError) as error:
        reason = str(error).splitlines()[0]
    raise InputError(f"not readable as YAML ({reason})", subject=subject)


def _convert(kind: Any, value: Any, path: str) -> Any:
    """Convert a value of YAML to the type of a setting; ``path`` names it in messages.

    Types are dataclasses, list[T], dict[str, T], T | None, bool, int, float, str, and Annotated of these with a range,
    the choices, or a function that raises for other values.
    """
    items = get_args(kind)
    if get_origin(kind) is Annotated:
        setting, allowed = _convert(items[0], value, path), items[1]
        if isinstance(allowed, Range):
            expected = "finite" if setting in (math.inf, -math.inf) else allowed
            require(setting in allowed, f"{path} must be {expected}, got {setting}")
        elif callable(allowed):
            allowed(setting, path)
        else:
            require_choice(setting, allowed, path)
        return setting
    if NoneType in items:
        return None if value is None else _convert(items[0], value, path)
    if is_dataclass(kind):
        expected = "settings (key: value)"
        if isinstance(value, Mapping):
            return _build(kind, value, path and f"{path}.")
    elif get_origin(kind) is list:
        expected = "a list"
        if isinstance(value, list):
            return [_convert(items[0], item, f"{path}.{index}") for index, item in enumerate(value)]
    elif get_origin(kind) is dict:
        expected = "a mapping (key: value)"
        if isinstance(value, Mapping):
            return {str(key): _convert(items[1], item, f"{path}.{key}") for key, item in value.items()}
    else:
        accepted, expected = SCALARS[kind]
        if isinstance(value, accepted) and isinstance(value, bool) == (kind is bool):
            with suppress(OverflowError):  # an integer too large for a float
                return kind(value)
    raise InputError(f"{path or 'settings'} must be {expected}, got {value!r:.80}")


def _build(schema: Any, tree: Mapping[str, Any], prefix: str) -> Any:
    """Build a dataclass from a mapping; ``prefix`` is its path in messages, with a dot at its end."""
    names = [field.name for field in fields(schema)]
    kinds = _list_types(schema, tree)
    for key in tree:
        if key not in names:
            nested_keys = {path.rpartition(".")[2]: path for path in _list_keys(schema, prefix, tree)}
            key_paths = nested_keys | {name: f"{prefix}{name}" for name in names}
            similar = difflib.get_close_matches(str(key), key_paths, n=1)
            remedy = f"did you mean {key_paths[similar[0]]}?" if similar else f"valid keys are {', '.join(names)}"
            raise InputError(f"unknown key {prefix}{key}", remedy=remedy)
    for field in fields(schema):
        if field.name not in tree and field.default is field.default_factory is MISSING:
            raise InputError(f"{prefix}{field.name} is missing")
    return schema(**{name: _convert(kinds[name], value, f"{prefix}{name}") for name, value in tree.items()})


def _list_types(schema: Any, tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the type of each setting of a dataclass; the model's method in ``tree`` has that of stages."""
    kinds = get_type_hints(schema, include_extras=True)
    if schema is ModelConfig:
        method = _convert(str, tree.get("method", ModelConfig.method), "model.method")
        kinds["stages"] = list[find_method(method).stage]  # type: ignore[misc]
    return kinds


def _list_keys(schema: Any, prefix: str, tree: Any) -> Iterator[str]:
    """Yield the paths of all settings of a dataclass with the values ``tree``; for lists, those of the first item."""
    tree = tree if isinstance(tree, Mapping) else {}
    for name, kind in _list_types(schema, tree).items():
        yield f"{prefix}{name}"
        for nested in filter(is_dataclass, (kind, *get_args(kind))):
            item = "0." if get_origin(kind) is list else ""
            yield from _list_keys(nested, f"{prefix}{name}.{item}", tree.get(name))


def _merge(base: Any, override: Any) -> Any:
    """Merge settings, key by key in nested mappings; ``override`` replaces ``base``."""
    if not isinstance(base, Mapping) or not isinstance(override, Mapping):
        return override
    return {**base, **{key: _merge(base.get(key), value) for key, value in override.items()}}


def _replace(node: Any, names: Sequence[str], value: Any, path: str) -> Any:
    """Return ``node`` with the setting at ``names`` below it replaced; ``path`` is the node's in messages."""
    if not names:
        return _merge(node, value)
    name, *rest = names
    if not isinstance(node, list):
        mapping = node if isinstance(node, Mapping) else {}
        return {**mapping, name: _replace(mapping.get(name), rest, value, f"{path}{name}.")}
    if not name.isdecimal() or int(name) >= len(node):
        raise InputError(
            "no such item",
            subject=f"{path}{name}",
            remedy=f"the list has items 0 to {len(node) - 1}" if node else "the list is empty",
        )
    index = int(name)
    return [*node[:index], _replace(node[index], rest, value, f"{path}{name}."), *node[index + 1 :]]


def _read_bases(path: Path, preset: str | None) -> list[tuple[Path, dict[str, Any]]]:
    """Return the unmerged settings of a file and its bases; ``preset`` replaces the preset at the bottom."""
    first_path = path
    files: list[tuple[Path, dict[str, Any]]] = []
    while True:
        if any(path == file for file, _ in files):
            raise InputError("base: refers back to this file", subject=path)
        settings = parse_yaml(read_text(path, "give a YAML file"), str(path))
        base, plugins = settings.pop("base", None), settings.pop("plugins", None) or []
        with prefix_errors(path):
            is_list = isinstance(plugins, list) and all(isinstance(name, str) for name in plugins)
            require(is_list, f"plugins: must be a list of Python files, got {plugins}")
            load_plugins(path.parent / name for name in plugins)
        files.append((path, settings))
        if base is None:
            break
        base_path = find_config(str(base), [path.parent], f"{path}: base:")
        if preset is not None and base_path.parent == PRESETS != path.parent:
            base_path, preset = find_config(preset), None
        path = base_path
    require(
        preset is None,
        f"it replaces the preset under a recipe or a file of settings, but {first_path} names no preset",
        subject=f"base={preset}",
        remedy=f"load {preset} instead",
    )
    return files
