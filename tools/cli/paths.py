"""Checks of paths on the command line, before anything heavy is imported."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from aotlab.configs.files import find_settings
from aotlab.utils.errors import InputError
from aotlab.utils.files import file_mode, is_file, is_folder

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://.*", re.IGNORECASE)


def require_paths(*paths: str | Path | None) -> None:
    """Raise `InputError` for the first path that does not exist; None: an option that was not given."""
    for path in paths:
        if path is not None and not file_mode(Path(path)):
            raise InputError(f"{path}: no such file or folder; check the spelling")


def require_source(source: str) -> None:
    """Raise `InputError` if a video does not exist; addresses and ``-`` are not checked."""
    if source != "-" and not ADDRESS.fullmatch(source):
        require_paths(source)


def require_new(path: Path | None, *, force: bool) -> None:
    """Raise `InputError` if an output exists, unless it is an empty folder or ``force``; None: no output."""
    if path is None or force or not file_mode(path):
        return
    if not is_folder(path) or any(path.iterdir()):
        raise InputError(f"{path}: exists; choose another name, or replace it with --force")


def require_masks(values: Sequence[str]) -> None:
    """Raise `InputError` for the first missing file of ``[FRAME:]FILE`` values."""
    require_paths(*(re.sub(r"^[0-9]+:", "", value) for value in values))


def require_model(checkpoint: Path | None, config: str | None) -> None:
    """Raise `InputError` if a checkpoint or the preset or file of --config does not exist."""
    if checkpoint is not None and not is_file(checkpoint):
        raise InputError(f"{checkpoint}: no such checkpoint; give a file, or a name of aotlab weights list")
    if config is not None:
        find_settings(config)
