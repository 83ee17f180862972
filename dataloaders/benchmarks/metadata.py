"""Folders and metadata files of the splits of benchmarks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aotlab.dataloaders.benchmarks.sequences import list_folders
from aotlab.media.object_masks import ListedObject
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, is_folder, plain_name, read_text
from aotlab.utils.parsing import about


def split_folder(root: Path, split: str) -> Path:
    """Return the folder of a split; "val" equals "valid", and the root may be the split itself.

    Raises:
        InputError: no such folder.
    """
    names = ("valid", "val") if split in ("val", "valid") else (split,)
    for folder in (*(root / name for name in names), root):
        if is_folder(folder / "JPEGImages"):
            return folder
    raise InputError(
        f"{root / names[0] / 'JPEGImages'}: no such folder; expected JPEGImages and Annotations in it"
    )


def video_names(folder: Path, *kinds: str) -> list[str]:
    """Return the sorted names of a split's videos; raises `InputError` without any, or without one of the folders.

    ``kinds``: folders of a folder per video (default: JPEGImages and Annotations); the first gives the names.
    """
    kinds = kinds or ("JPEGImages", "Annotations")
    for kind in kinds:
        if not is_folder(folder / kind):
            raise InputError(f"{folder / kind}: no such folder; expected one folder for each video in it")
    return list_folders(folder / kinds[0])


def read_metadata(path: Path) -> Mapping[str, dict[Any, Any]]:
    """Read the objects of each video from a metadata file, as mappings by object id.

    Raises:
        InputError: missing, not a metadata file, or without videos.
    """
    with about(path):
        tree = json.loads(read_text(path, "it comes with the data set and lists its videos and objects"))
        videos = {name: video["objects"] for name, video in tree["videos"].items()}
        videos = {
            name: {key: {} for key in objects} if isinstance(objects, list) else dict(objects)
            for name, objects in videos.items()
        }
    if not videos:
        raise InputError(f"{path}: lists no video; expected at least one under videos")
    return {plain_name(name, str(path)): objects for name, objects in videos.items()}


def read_objects(
    path: Path, name: str, objects: Mapping[Any, Any], read: Callable[[int, Any], ListedObject], expected: str
) -> tuple[ListedObject, ...]:
    """Read the objects that a metadata file lists for a video; those without frames are skipped.

    Args:
        read: turns id and entry into an object; any error means that the entry is not readable.
        expected: form of an entry, for the message.

    Raises:
        InputError: an entry is not readable, or an id is not 1 to 254.
    """
    from aotlab.media.masks import VOID

    found = []
    for object_id, entry in objects.items():
        try:
            if not 0 < int(object_id) < VOID:
                raise ValueError("an id of 1 to 254 is expected")
            found.append(read(int(object_id), entry))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise InputError(
                f"{path}: object {str(object_id)[:20]} of {name} is not readable ({error!r}); expected {expected}"
            ) from error
    return tuple(item for item in found if item.frames)


def read_names(path: Path) -> frozenset[str] | None:
    """Return the lines of a list file, or None if it is missing."""
    if not is_file(path):
        return None
    lines = read_text(path, "expected one name per line").splitlines()
    return frozenset(line.strip() for line in lines if line.strip())
