"""Reader of SA-V, validation and test. Layout as distributed (ai.meta.com/datasets/segment-anything-video)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aotlab.dataloaders.benchmarks.davis import read_list
from aotlab.dataloaders.benchmarks.sequences import (
    Video,
    list_folders,
    list_frames,
    list_masks,
    read_each,
)
from aotlab.masks.object_masks import ListedObject, ObjectMasks
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, is_folder

FRAMES, MASKS = "JPEGImages_24fps", "Annotations_6fps"


def sav(root: Path, split: str = "val") -> list[Video]:
    """Read the videos of a split (val or test), sorted by name; ``root`` may be the folder of the split.

    An object is a folder of binary PNGs (``000`` is object 1), given by its first mask with a pixel. All frames are
    tracked; results are for frames with masks, also of objects without pixels, which the public evaluator requires.
    """
    folder = root / f"sav_{split}" if is_folder(root / f"sav_{split}") else root
    for kind in (FRAMES, MASKS):
        if not is_folder(folder / kind):
            raise InputError(f"{folder / kind}: no such folder; expected one folder for each video in it")
    listed = folder / f"sav_{split}.txt"
    names = read_list(listed) if is_file(listed) else list_folders(folder / MASKS)
    return read_each(names, lambda name: _read(folder, name))


def _read(folder: Path, name: str) -> Video:
    frames = list_frames(folder / FRAMES / name)
    if not is_folder(folder / MASKS / name):
        raise InputError(
            f"{folder / MASKS / name}: no such folder; expected a folder of PNGs for each object"
        )
    inner = [folder / MASKS / name / item for item in list_folders(folder / MASKS / name)]
    folders = {_object_id(path): path for path in sorted(inner, key=_object_id)}
    stems = {object_id: _stems(masks) for object_id, masks in folders.items()}
    objects = tuple(
        ListedObject(object_id, stems[object_id], len(stems[object_id]))
        for object_id in folders
        if stems[object_id]
    )
    given = _given(folder / MASKS / name, frames, objects, folders)
    written = frozenset(path.stem for masks in folders.values() for path in list_masks(masks))
    return Video(
        name,
        frames,
        masks=given,
        written=written,
        objects=objects,
        object_folders=folders,
        rules="sav",
    )


def _object_id(folder: Path) -> int:
    """Return the object id of a folder, one more than its number; raise `InputError` for other names."""
    from aotlab.masks.id_maps import VOID

    if not (folder.name.isdecimal() and len(folder.name) < 6 and int(folder.name) + 1 < VOID):
        raise InputError(f"{folder}: expected a folder 000, 001 and so on for each object")
    return int(folder.name) + 1


def _stems(folder: Path) -> tuple[str, ...]:
    """Return the stems of an object's masks from the first one with a pixel on; empty without pixels."""
    from aotlab.masks.id_maps import read_mask

    paths = list_masks(folder)
    first = next((index for index, path in enumerate(paths) if read_mask(path).any()), len(paths))
    return tuple(path.stem for path in paths[first:])


def _given(
    source: Path, frames: tuple[Path, ...], objects: tuple[ListedObject, ...], folders: Mapping[int, Path]
) -> dict[int, ObjectMasks]:
    """Return the first masks of all objects by frame index."""
    given = {}
    indices = {path.stem: index for index, path in enumerate(frames)}
    for stem in sorted({item.frames[0] for item in objects}):
        if stem not in indices:
            raise InputError(
                f"{source}: an object begins on frame {stem}, which is missing; unpack all frames"
            )
        beginning = [item.object_id for item in objects if item.frames[0] == stem]
        files = {object_id: folders[object_id] / f"{stem}.png" for object_id in beginning}
        given[indices[stem]] = ObjectMasks(source, stem, files)
    if not given:
        raise InputError(f"{source}: no mask with a pixel; expected the first one of each object at least")
    return given
