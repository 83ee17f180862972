"""Folders and metadata files of the splits of benchmarks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aotlab.dataloaders.benchmarks.sequences import list_folders, list_masks
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, is_folder, plain_name, read_text


def split_folder(root: Path, split: str) -> Path:
    """The folder of a split; "val" and "valid" are the same, and the root may be the split itself.

    Raises:
        InputError: there is no such folder.
    """
    names = ("valid", "val") if split in ("val", "valid") else (split,)
    for folder in (*(root / name for name in names), root):
        if is_folder(folder / "JPEGImages"):
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
        if not is_folder(folder / kind):
            raise InputError(f"{folder / kind}: no such folder; expected one folder for each video in it")
    return list_folders(folder / "JPEGImages")


def read_metadata(path: Path) -> Mapping[str, dict[Any, Any]]:
    """Return what a metadata file says of the objects of each video: a mapping by object id.

    Raises:
        InputError: missing, not such a file, or without videos.
    """
    text = read_text(path, "it comes with the data set and lists its videos and objects")
    try:
        videos = {name: video["objects"] for name, video in dict(json.loads(text)["videos"]).items()}
        videos = {
            name: {key: {} for key in objects} if isinstance(objects, list) else dict(objects)
            for name, objects in videos.items()
        }
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f'{path}: not readable ({error!r}); expected {{"videos": {{NAME: {{"objects": {{ID: ...}}}}}}}}'
        ) from error
    if not videos:
        raise InputError(f"{path}: lists no video; expected at least one under videos")
    return {plain_name(name, str(path)): objects for name, objects in videos.items()}


def read_names(path: Path) -> frozenset[str] | None:
    """The lines of a list file; None where there is none."""
    if not is_file(path):
        return None
    lines = read_text(path, "expected one name per line").splitlines()
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
