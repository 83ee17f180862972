"""What the readers of benchmarks with a folder for each split share: finding the folder, reading its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aotlab.dataloaders.sequences import list_folders, list_masks
from aotlab.utils.errors import InputError


def split_folder(root: Path, split: str) -> Path:
    """The folder of a split; "val" and "valid" are the same, and the root may be the split itself.

    Raises:
        InputError: there is no such folder.
    """
    names = ("valid", "val") if split in ("val", "valid") else (split,)
    for folder in (*(root / name for name in names), root):
        if (folder / "JPEGImages").is_dir():
            return folder
    raise InputError(
        f"{root / names[0] / 'JPEGImages'}: no such folder; expected JPEGImages and Annotations in it"
    )


def video_names(folder: Path) -> list[str]:
    """Names of a split's videos, sorted.

    Raises:
        InputError: JPEGImages or Annotations is missing, or there is no video.
    """
    for kind in ("JPEGImages", "Annotations"):
        if not (folder / kind).is_dir():
            raise InputError(f"{folder / kind}: no such folder; expected one folder for each video in it")
    return list_folders(folder / "JPEGImages")


def read_metadata(path: Path) -> Mapping[str, Any]:
    """The ``videos`` of a metadata file: name to what is said of it.

    Raises:
        InputError: missing, or not such a file.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; it comes with the data set and lists its videos and objects")
    try:
        videos = json.loads(path.read_bytes())["videos"]
        return {name: dict(videos[name]["objects"]) for name in videos}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f'{path}: not readable ({error!r}); expected {{"videos": {{NAME: {{"objects": {{...}}}}}}}}'
        ) from error


def read_names(path: Path) -> frozenset[str] | None:
    """The lines of a list file; None where there is none."""
    if not path.is_file():
        return None
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return frozenset(line.strip() for line in lines if line.strip())


def from_first_mask(
    name: str, frames: Sequence[Path], masks: Path
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The frames from the first one with a mask on, and all masks.

    Raises:
        InputError: no frame has a mask.
    """
    annotations = list_masks(masks)
    stems = {path.stem for path in annotations}
    start = next((index for index, path in enumerate(frames) if path.stem in stems), None)
    if start is None:
        raise InputError(f"{masks}: no mask of a frame of {name}; expected at least the first frame's")
    return tuple(frames[start:]), annotations
