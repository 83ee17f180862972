"""Paths that a command line names, looked at before anything heavy is imported."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from aotlab.configs.files import find_settings
from aotlab.utils.errors import InputError
from aotlab.utils.files import file_mode, is_file

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://.*", re.IGNORECASE)


def require_paths(*paths: str | Path | None) -> None:
    """Refuse the first path that does not exist; None stands for an option that was not given.

    Raises:
        InputError: there is no such file or folder.
    """
    for path in paths:
        if path is not None and not file_mode(Path(path)):
            raise InputError(f"{path}: no such file or folder; check the spelling")


def require_source(source: str) -> None:
    """As `require_paths` for a video, which may also be an address or ``-``.

    Raises:
        InputError: there is no such file or folder.
    """
    if source != "-" and not ADDRESS.fullmatch(source):
        require_paths(source)


def require_masks(values: Sequence[str]) -> None:
    """As `require_paths` for the files of ``[FRAME:]FILE`` values.

    Raises:
        InputError: there is no such file or folder.
    """
    require_paths(*(re.sub(r"^[0-9]+:", "", value) for value in values))


def require_model(checkpoint: Path | None, config: str | None) -> None:
    """Refuse a checkpoint that does not exist, and a --config that is neither a file nor a preset.

    Raises:
        InputError: there is no such file or preset.
    """
    if checkpoint is not None and not is_file(checkpoint):
        raise InputError(f"{checkpoint}: no such checkpoint; give a file, or a name of aotlab weights list")
    if config is not None:
        find_settings(config)


def bundled() -> Path:
    """The model that ships with the project, which takes the place of a --checkpoint that was not given."""
    from aotlab.configs.paths import BUNDLED_CHECKPOINT

    return BUNDLED_CHECKPOINT
