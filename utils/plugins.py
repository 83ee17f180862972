"""Plug-ins: objects that other installed packages offer through entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from aotlab.utils.errors import InputError

COMMANDS = "aotlab.commands"
"""group of click commands, as `aotlab.sdk.command` makes them; the name is that of the command"""
MASK_READERS = "aotlab.mask_readers"
"""group of readers of annotation files"""
MASK_WRITERS = "aotlab.mask_writers"
"""group of writers of annotation files"""
OUTPUTS = "aotlab.outputs"
"""group of outputs of ``aotlab track``"""
SEGMENTERS = "aotlab.segmenters"
"""group of functions that return an `aotlab.sdk.PromptSegmenter`"""
STUDIO_PLUGINS = {
    MASK_WRITERS: ("youtube_vis", "mots", "cvat", "cvat_polygons", "label_studio", "yolo"),
    OUTPUTS: ("review",),
}
"""names by group that the package aotlab-studio brings"""


def list_plugins(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name; none of them is imported."""
    return {point.name: point for point in entry_points(group=group)}


def list_mask_formats() -> list[str]:
    """Return the names of the formats that masks can be written in: COCO, and those of plug-ins."""
    return ["coco", *list_plugins(MASK_WRITERS)]


def find_plugin(group: str, name: str, subject: str) -> EntryPoint | None:
    """Return the entry point of a name in a group; None if it is unknown.

    Args:
        subject: first words of the message, such as "write review".

    Raises:
        InputError: the package aotlab-studio brings it and is not installed.
    """
    point = list_plugins(group).get(name)
    if point is None and name in STUDIO_PLUGINS.get(group, ()):
        raise InputError(f"{subject}: needs the package aotlab-studio; pip install ./studio in a checkout")
    return point


def load_plugin(point: EntryPoint) -> Any:
    """Import what an entry point names.

    Raises:
        InputError: the package that offers it is broken.
    """
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        package = point.dist.name if point.dist is not None else point.value
        raise InputError(f"{point.name}: {package} does not load ({error}); reinstall it") from error
