"""Loading of settings: YAML files with ``base:`` and ``key=value`` overrides, merged and built into settings."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from functools import reduce
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from typing_extensions import TypeVar

from aotlab.configs.files import PRESETS, find_config, name_source
from aotlab.configs.plugins import load_plugins
from aotlab.configs.schema import Config, list_resets
from aotlab.configs.settings import Settings, build
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import prefix_errors, read_text
from aotlab.utils.text import join_truncated

log = logging.getLogger(__name__)

SettingsT = TypeVar("SettingsT", bound=Settings, default=Config)
RECORDS = ("rules", "compute", "data", "train")
"""Sections that change no weights: those stored with weights are a record, which may be of another version."""
PLAIN_SCALARS = {
    "bool": r"true|false",
    "null": r"null|~|",
    "int": r"-?(0|[1-9][0-9]*)",
    "float": r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?",
}
"""YAML type of unquoted scalars by pattern; all others are text, including dates and 007."""
BASE_PROBLEM = "replaces the preset under a recipe or a file of settings"


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
        require(isinstance(then, list), f"then: must be a list of phases, got {then}", subject=name_source(file))
        tree = _merge(apply_overrides(tree, list_resets(settings)), settings)
        train = tree.get("train", {})
        phases = train.get("phases", []) if isinstance(train, Mapping) else None
        if then and isinstance(phases, list):  # `build_config` refuses other types
            tree["train"] = {**train, "phases": [*phases, *then]}
    if "name" not in files[0][1] and "name" in tree:
        tree["name"] = f"{tree['name']}_{path.stem}"
    others = [override for override in overrides if not override.startswith("base=")]
    return build_config(tree, str(config), overrides=others)


def read_own_settings(config: str | Path | None) -> dict[str, Any]:
    """Return the unchecked settings that a YAML file and its bases set, without those of presets; None: no settings.

    Raises:
        InputError: missing file, or not settings.
    """
    files = [] if config is None else _read_bases(find_config(str(config)), None)
    own = (settings for file, settings in reversed(files) if file.parent != PRESETS)
    return reduce(_merge, own, {})


def build_config(
    tree: Mapping[str, Any],
    subject: str,
    schema: type[SettingsT] = Config,  # type: ignore[assignment]
    *,
    overrides: Sequence[str] = (),
) -> SettingsT:
    """Build the class ``schema`` from a mapping and ``a.b=value`` overrides; ``subject`` names it in messages.

    Raises:
        InputError: unknown key (names the nearest valid one), wrong type or value.
    """
    with prefix_errors(subject):
        if overrides:  # on top of the defaults, so that items of default lists can be overridden
            defaults = schema().model_dump()
            if schema is Config:
                defaults["model"]["stages"] = [{}]  # of the tree's method
            tree = _merge(defaults, tree)
            tree = apply_overrides(tree, [*list_resets(apply_overrides({}, overrides)), *overrides])
        return build(schema, tree)


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
        if key == "base":
            raise InputError(BASE_PROBLEM, subject=override, remedy=f"did you mean --config {text}?")
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
    known = deepcopy(dict(tree))
    try:
        Config.model_validate(tree)
    except ValidationError as errors:
        paths = [error["loc"] for error in errors.errors() if error["type"] == "extra_forbidden"]
        unknown = [path for path in paths if path[0] in RECORDS and len(path) > 1]
        for *parents, key in unknown:
            part: Any = known
            for step in parents:
                part = part[step]
            del part[key]
        if unknown:
            names = join_truncated([".".join(map(str, path)) for path in unknown])
            log.log(level, "%s: ignoring settings of another version: %s", subject, names)
    return known


def to_yaml(settings: Settings) -> str:
    """Return settings as YAML text, which `load_config` reads if they are a `Config`."""
    return yaml.safe_dump(settings.model_dump(), sort_keys=False, allow_unicode=True)


def flatten_settings(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested dicts and lists with their paths such as ``memory.every``."""
    if isinstance(value, dict | list) and value:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from flatten_settings(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


class SettingsLoader(yaml.SafeLoader):
    """YAML loader of `PLAIN_SCALARS`. It refuses duplicate keys, and aliases, which may expand without end."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        """Return the tag of a node."""
        for tag, pattern in PLAIN_SCALARS.items() if kind is yaml.ScalarNode and implicit[0] else ():
            if re.fullmatch(pattern, value):
                return f"tag:yaml.org,2002:{tag}"
        return super().resolve(kind, value, (False, False))

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node; raises MarkedYAMLError for an alias or a duplicate key."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(None, None, "aliases (*name) are not supported", self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        keys = set[str]()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if str(key.value) in keys:
                raise yaml.MarkedYAMLError(None, None, f"found duplicate key {key.value}", key.start_mark)
            keys.add(str(key.value))
        return node


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
        name = name_source(path)
        if any(path == file for file, _ in files):
            raise InputError("base: refers back to this file", subject=name)
        settings = parse_yaml(read_text(path, "give a YAML file"), name)
        base, plugins = settings.pop("base", None), settings.pop("plugins", None) or []
        with prefix_errors(name):
            is_list = isinstance(plugins, list) and all(isinstance(name, str) for name in plugins)
            require(is_list, f"plugins: must be a list of Python files, got {plugins}")
            load_plugins(path.parent / name for name in plugins)
        files.append((path, settings))
        if base is None:
            break
        base_path = find_config(str(base), [path.parent], f"{name}: base:")
        if preset is not None and base_path.parent == PRESETS != path.parent:
            base_path, preset = find_config(preset), None
        path = base_path
    require(
        preset is None,
        f"{BASE_PROBLEM}, but {name_source(first_path)} names no preset",
        subject=f"base={preset}",
        remedy=f"did you mean --config {preset}?",
    )
    return files
