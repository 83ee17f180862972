"""Reader of LVOS, first and second version. Layout as distributed (lingyihongfd.github.io/lvos.github.io)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aotlab.dataloaders.benchmarks.metadata import read_metadata, read_names, split_folder, video_names
from aotlab.dataloaders.benchmarks.sequences import (
    Video,
    first_masks,
    list_frames,
    list_masks,
    masks_of,
    read_each,
)
from aotlab.masks.object_masks import ListedObject
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file

LAST = 10**7
"""largest frame number in the metadata"""
STEP = 5
"""interval between labelled frames"""


def lvos(root: Path, split: str = "val") -> list[Video]:
    """Read the videos of a split (train, val or valid, test), sorted by name.

    All labels of train and valid are public, of which only each object's first one is given. Test has only these.
    """
    folder = split_folder(root, split)
    names = video_names(folder)
    unseen = read_names(folder / "unseen_videos.txt") or read_names(root / "unseen_videos.txt")
    if split == "test":
        return read_each(names, lambda name: _read(folder, name, None, unseen))
    paths = [folder / f"{name}_meta.json" for name in (folder.name, split, "valid", "val")]
    path = next((path for path in paths if is_file(path)), paths[0])
    meta = read_metadata(path)

    def read(name: str) -> Video:
        if not meta.get(name):
            raise InputError(
                f"{path}: lists no object of the video {name}; expected where each begins and ends"
            )
        return _read(folder, name, meta[name], unseen)

    return read_each(names, read)


def _read(folder: Path, name: str, listed: Mapping[str, Any] | None, unseen: frozenset[str] | None) -> Video:
    frames = list_frames(folder / "JPEGImages" / name)
    annotations = list_masks(folder / "Annotations" / name)
    if not annotations:
        raise InputError(f"{folder / 'Annotations' / name}: no mask here; expected at least the first one")
    if listed is None:
        objects: tuple[ListedObject, ...] = ()
        given = masks_of(frames, annotations)
    else:
        objects = _objects(folder, name, listed)
        given = first_masks(frames, annotations, objects, folder / "Annotations" / name)
    return Video(
        name,
        frames,
        masks=given,
        annotations=annotations,
        objects=objects,
        seen=None if unseen is None else name not in unseen,
        rules="lvos",
    )


def _objects(folder: Path, name: str, listed: Mapping[str, Any]) -> tuple[ListedObject, ...]:
    """Read the objects of a video in the order of the metadata; objects without frames are skipped."""
    from aotlab.masks.id_maps import VOID

    objects = []
    for object_id, entry in listed.items():
        try:
            span = {key: int(entry["frame_range"][key]) for key in ("start", "end", "frame_nums")}
            if not (0 <= span["start"] <= span["end"] <= LAST and 0 <= span["frame_nums"] <= LAST):
                raise ValueError(f"a range of 0 to {LAST} is expected")
            if not 0 < int(object_id) < VOID:
                raise ValueError("an id of 1 to 254 is expected")
            stems = tuple(f"{number:08d}" for number in range(span["start"], span["end"], STEP))
            objects.append(ListedObject(int(object_id), stems, span["frame_nums"]))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise InputError(
                f"{folder}: the metadata's object {object_id} of {name} is not readable ({error!r}); "
                "expected frame_range with start, end and frame_nums"
            ) from error
    return tuple(item for item in objects if item.frames)
