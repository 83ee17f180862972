"""The data sets by name."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path

from dataloaders.davis import davis
from dataloaders.sequences import Video, folder
from utils.errors import InputError

Reader = Callable[[Path, str], list[Video]]
"""(root, split) to the videos of the split."""

DATASETS: dict[str, Reader] = {
    "davis2016": lambda root, split: davis(root, 2016, split),
    "davis2017": lambda root, split: davis(root, 2017, split),
    "folder": lambda root, split: folder(root),
}

HOME = Path(__file__).resolve().parents[1] / "datasets"
DEFAULT_ROOTS = {"davis2016": HOME / "DAVIS", "davis2017": HOME / "DAVIS"}


def open_dataset(name: str, root: Path | None = None, split: str = "val") -> list[Video]:
    """The videos of a data set's split.

    Args:
        name: a key of `DATASETS`, in any case.
        root: its folder; None: the environment variable AOTLAB_<NAME>, else the place under ``datasets/``.
        split: "folder" has no splits and takes any.

    Raises:
        InputError: an unknown name, no root, or what the reader finds wrong.
    """
    key = name.lower()
    if key not in DATASETS:
        near = difflib.get_close_matches(key, DATASETS, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(DATASETS)}"
        raise InputError(f"--dataset {name}: unknown data set; {hint}")
    return DATASETS[key](root if root is not None else default_root(key), split)


def default_root(name: str) -> Path:
    """Where the data set is when nobody says: AOTLAB_<NAME>, else its place under ``datasets/``.

    Raises:
        InputError: the variable is not set and the data set has no place of its own.
    """
    variable = f"AOTLAB_{name.upper()}"
    if os.environ.get(variable):
        return Path(os.environ[variable])
    if name not in DEFAULT_ROOTS:
        raise InputError(f"--dataset {name}: no root; give --root FOLDER or set {variable}")
    return DEFAULT_ROOTS[name]
