"""Lookup of presets and settings files."""

from __future__ import annotations

import difflib
from pathlib import Path

from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file

HERE = Path(__file__).parent
PRESETS = HERE / "presets"


def preset_names() -> list[str]:
    """Return the names of all presets."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def find_settings(name: str, relative_to: Path = HERE.parent) -> Path:
    """Return the file of a preset, or a YAML file in the working directory or below ``relative_to``.

    Raises:
        InputError: no such file or preset.
    """
    for path in (Path(name), relative_to / name):
        if path.suffix in (".yaml", ".yml") and is_file(path):
            return path.resolve()
    preset = PRESETS / f"{name}.yaml"
    if is_file(preset):
        return preset
    known = preset_names()
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"presets are {', '.join(known)}"
    raise InputError(f"config {name}: no such file or preset; {hint}")
