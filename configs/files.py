"""Lookup of presets and settings files, and paths in settings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from aotlab.utils.errors import InputError, suggest

ROOT = Path(__file__).resolve().parents[1]
"""Root of the checkout or the installed package; holds configs/ and pretrain_models/."""
BUNDLED = "bundled"
"""Setting for the packaged weights."""
BUNDLED_CHECKPOINT = ROOT / "pretrain_models" / "aott_mini.safetensors"
"""Checkpoint in the package."""
BUNDLED_PROMPTS = BUNDLED_CHECKPOINT.with_name("prompts.safetensors")
"""Prompt network in the package."""
PRESETS = ROOT / "configs" / "presets"
RECIPES = ROOT / "configs" / "recipes"


def resolve_path(text: str) -> Path:
    """Resolve the path in a setting: ``bundled``, or a path relative to the working directory.

    If no such file exists, it is looked up below the project's root; recipes write ``pretrain_models/x.pth``.
    """
    if text == BUNDLED:
        return BUNDLED_CHECKPOINT
    path = Path(os.path.expanduser(text))
    below_root = ROOT / path
    return below_root if not path.exists() and below_root.exists() else path


def list_presets() -> list[str]:
    """Return the names of all presets."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def name_source(path: Path) -> str:
    """Return the name of a preset, a recipe or the bundled model for messages; of other files, the path."""
    return path.stem if path == BUNDLED_CHECKPOINT or path.parent in (PRESETS, RECIPES) else str(path)


def find_config(name: str, folders: Sequence[Path] = (Path(), ROOT), subject: str = "config") -> Path:
    """Return the file of a preset or recipe, or a YAML file by its path from the first of ``folders`` that has it.

    ``subject``: words before the name in messages.
    """
    for path in (folder / name for folder in folders):
        if path.suffix in (".yaml", ".yml") and path.is_file():
            return path.resolve()
    for folder in (PRESETS, RECIPES):
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    presets, recipes = list_presets(), sorted(path.stem for path in RECIPES.glob("*.yaml"))
    available = f"presets are {', '.join(presets)}; recipes of aotlab train are {', '.join(recipes)}"
    remedy = suggest(Path(name).stem, [*presets, *recipes], available)
    raise InputError("no such file or preset", subject=f"{subject} {name}", remedy=remedy)
