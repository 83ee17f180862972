"""Settings in files of version 0.3: names that have changed, and settings that methods no longer have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from aotlab.configs.methods import METHODS, Stage
from aotlab.utils.errors import require

RENAMED = {
    "memory.newest": "memory.max_tracked",
    "memory.insertions": "memory.max_stored",
    "memory.short_term_skip": "memory.short_term_lag",
    "memory.policy=restricted": "memory.policy=rmem",
    "memory.policy=relevance_redundancy": "memory.policy=ermu",
}
"""New name of a setting, or of a value of a setting."""
STAGE_DEFAULTS = {
    "shared": False, "heads": 8, "window": 15, "feedforward": 1024, "dim": None, "self_heads": None, "self_stride": 1,
    "memory_stride": 1, "identity_stride": None, "temporal_slots": 0, "sine_position": True, "relative_position": True,
}  # fmt: skip
"""Defaults of the settings that 0.3 stored for every stage, also those that its method does not have."""


def require_new_name(path: str, value: object) -> None:
    """Raise InputError if the setting ``path``, or its ``value``, has a new name."""
    for old in (path, f"{path}={value}"):
        require(old not in RENAMED, f"{old} is now {RENAMED.get(old)}")


def upgrade_settings(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings stored in a file under their present names.

    Settings of stages that the method does not have are dropped if they have the default of 0.3; others are kept, and
    `build_config` refuses them.
    """
    settings = dict(tree)
    memory, model = tree.get("memory"), tree.get("model")
    if isinstance(memory, Mapping):
        settings["memory"] = dict(_rename(f"memory.{name}", value) for name, value in memory.items())
    if isinstance(model, Mapping):
        settings["model"] = {name: x for name, x in model.items() if name != "prompt_blocks"}
        method, stages = METHODS.get(str(model.get("method"))), model.get("stages")
        if method and isinstance(stages, list):
            settings["model"]["stages"] = [_drop_defaults(stage, method.stage) for stage in stages]
    return settings


def _rename(path: str, value: object) -> tuple[str, object]:
    """Return the present name, without its section, and value of a setting."""
    new_name = RENAMED.get(path) or RENAMED.get(f"{path}={value}") or path
    name, _, new_value = new_name.partition("=")
    return name.rpartition(".")[2], new_value or value


def _drop_defaults(stage: Any, schema: type[Stage]) -> Any:
    """Return the settings of a stage without those that ``schema`` lacks and that have the default of 0.3."""
    if not isinstance(stage, Mapping):  # refused later
        return stage
    present = {field.name for field in fields(schema)}
    return {name: x for name, x in stage.items() if name in present or STAGE_DEFAULTS.get(name, ...) != x}
