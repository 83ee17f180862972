"""Plug-ins: objects that other installed packages offer through entry points."""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any

from aotlab.utils.errors import InputError, require_choice

COMMAND_PLUGINS = "aotlab.commands"
"""Group of click commands, as `aotlab.sdk.command` makes them; the entry point's name is the command's."""
MASK_READER_PLUGINS = "aotlab.mask_readers"
MASK_WRITER_PLUGINS = "aotlab.mask_writers"
OUTPUT_PLUGINS = "aotlab.outputs"
LOSS_PLUGINS = "aotlab.losses"
OPTIMIZER_PLUGINS = "aotlab.optimizers"
SCHEDULE_PLUGINS = "aotlab.schedules"
STUDIO_NEEDED = "needs the package aotlab-studio; pip install ./studio in a checkout"
"""End of the message about a missing command or output."""


def list_plugins(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name; none of them is imported."""
    return {point.name: point for point in _read_entry_points(group, tuple(sys.path))}


@lru_cache
def _read_entry_points(group: str, path: tuple[str, ...]) -> EntryPoints:
    """Read entry points once for each search path, as reading opens files of every installed package."""
    return entry_points(group=group)


def list_mask_formats() -> list[str]:
    """Return the names of the formats that masks can be written in: COCO, and formats of plug-ins."""
    return ["coco", *list_plugins(MASK_WRITER_PLUGINS)]


def list_plugin_names(group: str) -> list[str]:
    """Return the names that entry points offer, none of which is imported."""
    return sorted(list_plugins(group))


def find_plugin(group: str, name: str) -> Any:
    """Return the object of a plug-in; raises `InputError` if no plug-in has this name, or its package is broken."""
    points = list_plugins(group)
    require_choice(name, list_plugin_names(group), group)
    return load_plugin(points[name])


def load_plugin(point: EntryPoint) -> Any:
    """Import what an entry point names; raises `InputError` if its package is broken."""
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        package = point.dist.name if point.dist is not None else point.value
        raise InputError(f"{package} does not load ({error})", subject=point.name, remedy="reinstall it") from error
