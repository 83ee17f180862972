"""Lookup of presets and settings files."""

from __future__ import annotations

import difflib
from pathlib import Path

from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file

HERE = Path(__file__).parent
PRESETS = HERE / "presets"
RECIPES = HERE / "recipes"


def preset_names() -> list[str]:
    """Return the names of all presets."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def find_settings(name: str, relative_to: Path = HERE.parent) -> Path:
    """Return the file of a preset or recipe, or a YAML file in the working directory or below ``relative_to``.

    Raises:
        InputError: no such file or preset.
    """
    for path in (Path(name), relative_to / name):
        if path.suffix in (".yaml", ".yml") and is_file(path):
            return path.resolve()
    for folder in (PRESETS, RECIPES):
        if is_file(folder / f"{name}.yaml"):
            return folder / f"{name}.yaml"
    known, recipes = preset_names(), sorted(path.stem for path in RECIPES.glob("*.yaml"))
    near = difflib.get_close_matches(name, [*known, *recipes], n=1)
    listed = f"presets are {', '.join(known)}; recipes of aotlab train are {', '.join(recipes)}"
    hint = f"did you mean {near[0]}?" if near else listed
    raise InputError(f"config {name}: no such file or preset; {hint}")
