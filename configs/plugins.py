"""Settings that name plug-ins: files that offer them, their origins, and plug-ins that a checkpoint needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

from aotlab.configs.methods import METHODS
from aotlab.configs.schema import ENCODERS, POLICIES, TIMM_PREFIX, Config
from aotlab.configs.training import LOSSES
from aotlab.utils.errors import InputError
from aotlab.utils.plugins import (
    BENCHMARK_PLUGINS,
    ENCODER_PLUGINS,
    GROUPS,
    HOOK_PLUGINS,
    LAYOUT_PLUGINS,
    LOSS_PLUGINS,
    METHOD_PLUGINS,
    POLICY_PLUGINS,
    TRANSFORM_PLUGINS,
    describe_plugin,
    list_plugin_names,
    load_plugin_file,
)

BUILT_IN = {
    METHOD_PLUGINS: METHODS,
    ENCODER_PLUGINS: ENCODERS,
    POLICY_PLUGINS: POLICIES,
    LOSS_PLUGINS: LOSSES,
    HOOK_PLUGINS: (),
}
"""Built-in names by group."""
SETTINGS = {
    "model.method": METHOD_PLUGINS,
    "model.encoder": ENCODER_PLUGINS,
    "memory.policy": POLICY_PLUGINS,
    "rules.hooks": HOOK_PLUGINS,
}
"""Group of each setting whose value may be the name of a plug-in, or a list of names."""


def load_plugins(paths: Iterable[str | Path]) -> None:
    """Run plug-in files that the user named, once in each process; settings may then use the names that they offer.

    Raises:
        InputError: a file is missing, raises an error, offers nothing, or a name that exists already.
    """
    for path in paths:
        load_plugin_file(Path(path), BUILT_IN)


def describe_plugins(config: Config) -> dict[str, dict[str, str]]:
    """Return name and origin (`describe_plugin`) of each plug-in that the settings use, by setting.

    Those of a list have its setting and their name: ``rules.hooks.NAME``.
    """
    origins = {}
    for setting, group in SETTINGS.items():
        value = attrgetter(setting)(config)
        names = {f"{setting}.{name}": name for name in value} if isinstance(value, list) else {setting: value}
        for key, name in names.items():
            if name not in BUILT_IN[group] and not name.startswith(TIMM_PREFIX):
                origins[key] = {"name": name, **describe_plugin(group, name)}
    return origins


def describe_code(config: Config) -> dict[str, str]:
    """Return the SHA-256 of the code of each plug-in that the settings use, also in training, by setting."""
    train = config.train
    used = [("train.loss", LOSS_PLUGINS, train.loss)] * (train.loss not in LOSSES)
    for index, phase in enumerate(train.phases):
        place = f"train.phases.{index}"
        used += [(f"{place}.transforms.{name}", TRANSFORM_PLUGINS, name) for name in phase.transforms]
        layouts = [(number, source.kind) for number, source in enumerate(phase.sources)]
        names = list_plugin_names(LAYOUT_PLUGINS)
        used += [(f"{place}.sources.{number}.kind", LAYOUT_PLUGINS, kind) for number, kind in layouts if kind in names]
    if config.data.benchmark in list_plugin_names(BENCHMARK_PLUGINS):
        used.append(("data.benchmark", BENCHMARK_PLUGINS, config.data.benchmark))
    origins = describe_plugins(config) | {key: describe_plugin(group, name) for key, group, name in used}
    return {setting: origin.get("sha256", "unknown") for setting, origin in origins.items()}


def list_changed_code(config: Config, origins: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the settings whose plug-ins have other code now; ``origins``: earlier, by `describe_plugins`."""
    current = describe_plugins(config)
    return [
        setting
        for setting, origin in origins.items()
        if setting in current
        and current[setting]["name"] == origin["name"]
        and current[setting].get("sha256") != origin.get("sha256")
    ]


def replace_missing_plugins(
    settings: Mapping[str, Any], origins: Mapping[str, Mapping[str, str]], overridden: Mapping[str, Any]
) -> dict[str, Any]:
    """Return stored settings without the missing plug-ins of ``overridden`` settings.

    Args:
        settings: sections of `Config` as mappings.
        origins: plug-ins that the settings use, by `describe_plugins`.
        overridden: settings that replace them, in sections too.

    Raises:
        InputError: another plug-in is missing; the message names its package and version, or its file.
    """
    sections = {name: dict(value) if isinstance(value, Mapping) else value for name, value in settings.items()}
    for setting, origin in origins.items():
        section, key, *_ = setting.split(".")
        name, group, value = origin["name"], SETTINGS[f"{section}.{key}"], sections.get(section, {}).get(key)
        is_used = name in value if isinstance(value, list) else name == value
        if not is_used or name in (*BUILT_IN[group], *list_plugin_names(group)):
            continue
        if key not in overridden.get(section, {}):
            raise missing_plugin_error(f"{GROUPS[group].noun} {name}", origin)
        del sections[section][key]
    return sections


def missing_plugin_error(plugin: str, origin: Mapping[str, str]) -> InputError:
    """Return the error about a plug-in that is not installed, or whose file is not loaded."""
    if "file" in origin:
        return InputError(f"needs the {plugin} of {origin['file']}", remedy=f"give --plugin {origin['file']}")
    package, version = origin["package"], origin["version"]
    return InputError(f"needs the {plugin} of {package} {version}", remedy=f"pip install {package}=={version}")
