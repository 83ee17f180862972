"""Plug-ins: objects that other installed packages offer through entry points."""

from __future__ import annotations

import sys
from collections.abc import Collection
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any

from aotlab.utils.errors import InputError, require_choice

COMMAND_PLUGINS = "aotlab.commands"
"""group of click commands, as `aotlab.sdk.command` makes them; the entry point's name is the command's"""
MASK_READER_PLUGINS = "aotlab.mask_readers"
MASK_WRITER_PLUGINS = "aotlab.mask_writers"
OUTPUT_PLUGINS = "aotlab.outputs"
STUDIO_COMMANDS = {
    "annotate": "Draw, track and correct masks in the browser.",
    "convert": "Convert masks from one format to another.",
    "export-clips": "Write the corrected masks of a list of videos into its results.",
}
"""commands of the package aotlab-studio, with their help"""
STUDIO_OUTPUTS = ("cvat", "cvat_polygons", "label_studio", "mots", "yolo", "youtube_vis", "review")
"""formats and outputs of the package aotlab-studio"""
STUDIO_MASK_FILES = ("cvat.xml", "youtube_vis.json")
"""outputs with the masks of all frames, in order of preference"""
STUDIO_SIDECARS = ("legend.json", "labelmap.txt", "{stem}_classes.json")
"""patterns of files beside a mask file whose contents its reader may use"""
STUDIO_NEEDED = "needs the package aotlab-studio; pip install ./studio in a checkout"
"""end of the message about a missing command or output"""


def list_plugins(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name; none of them is imported."""
    return {point.name: point for point in _read_entry_points(group, tuple(sys.path))}


@lru_cache
def _read_entry_points(group: str, path: tuple[str, ...]) -> EntryPoints:
    """Read them once for a module search path, as each reading opens files of every installed package."""
    return entry_points(group=group)


def list_mask_formats() -> list[str]:
    """Return the names of the formats that masks can be written in: COCO, and formats of plug-ins."""
    return ["coco", *list_plugins(MASK_WRITER_PLUGINS)]


def require_output_name(name: str, names: Collection[str], subject: str) -> None:
    """Raise `InputError` about ``subject`` unless a name is one of those of the installed formats and outputs."""
    if name in STUDIO_OUTPUTS and name not in names:
        raise InputError(f"{subject} {name}: {STUDIO_NEEDED}")
    require_choice(name, names, subject)


def load_plugin(point: EntryPoint) -> Any:
    """Import what an entry point names; raises `InputError` if its package is broken."""
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        package = point.dist.name if point.dist is not None else point.value
        raise InputError(f"{point.name}: {package} does not load ({error}); reinstall it") from error
