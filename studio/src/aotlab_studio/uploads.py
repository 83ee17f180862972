"""Masks from an uploaded file in the formats of docs/formats.md. No name in it becomes a path."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np

from aotlab.engine.video.given_masks import GivenMasks
from aotlab.masks.exchange.colours import LEGENDS
from aotlab.masks.exchange.matching import LARGEST_ID, Target, numbers_of
from aotlab.masks.exchange.reading import read_annotations
from aotlab.masks.exchange.regions import Annotations
from aotlab import InputError
from aotlab_studio.history import Change
from aotlab_studio.objects import NAME_LENGTH, ObjectList
from aotlab_studio.state import State

UNPACKED_BYTES = 512 * 2**20
"""maximum size of an unpacked archive"""
MAX_FILES = 20_000
KINDS = (".png", ".json", ".xml", ".txt")
"""suffixes of the files of an archive that are read"""

Contents = Mapping[PurePosixPath, bytes]
"""contents of the files of an archive by their names in it, which are never opened as paths"""


def load_upload(state: State, index: int, content: bytes) -> list[int]:
    """Store the masks of a file as given masks, in one step.

    Args:
        index: the frame of an image; other files name their frames.
        content: PNG, JSON or XML, or a ZIP of a folder of masks.

    Returns:
        the frames of the masks.

    Raises:
        InputError: as `read_upload`, no object, or too many.
    """
    frames = state.frames
    found = read_upload(content, Target(frames.name, frames.size, frames.count, frames.stem), index)
    for frame in found.frames:
        frames.check(frame)
    masks = GivenMasks(found)  # decoded one by one, to save memory
    object_ids = sorted({each for labels in masks.values() for each in np.unique(labels).tolist()} - {0})
    if not object_ids:
        raise InputError("mask: contains no object; give ids above 0")
    with state.step("load masks", min(masks)) as changes:
        with state.changing_objects(changes) as objects:
            numbered = {each: _usable(objects, each, found.class_names.get(each)) for each in object_ids}
        for frame, labels in masks.items():
            changes.append(_give_map(state, frame, labels, numbered))
    return list(masks)


def _usable(objects: ObjectList, object_id: int, name: str | None) -> int:
    """Return the object of an id in a file: the one of this id, or a new one with what can be a name of ``name``."""
    if object_id in objects:
        return object_id
    kept = "".join(filter(str.isprintable, name or "")).strip()[:NAME_LENGTH]
    free = objects.resolve(object_id) == object_id
    return objects.add(kept or None, object_id if free else None).id


def _give_map(state: State, index: int, labels: np.ndarray, numbered: Mapping[int, int]) -> Change:
    """Store a label map with its ids renamed; locked objects keep their pixels."""
    table = np.arange(int(labels.max()) + 1, dtype=np.uint16)
    own = {object_id: numbered[object_id] for object_id in np.unique(labels).tolist() if object_id}
    table[list(own)] = list(own.values())
    ids, shown, locked = table[labels], state.labels(index), state.objects.locked
    keep = np.isin(shown, locked) | ((ids == 0) & ~np.isin(shown, list(own.values())))
    merged = np.where(keep, shown, np.where(np.isin(ids, locked), 0, ids))
    taken = {int(other) for other in np.unique(shown[merged != shown]) if other}
    return state.give(index, merged, state.described(index) | taken | set(own.values()))


def read_upload(content: bytes, target: Target, index: int) -> Annotations:
    """Return the objects of an uploaded file.

    Raises:
        InputError: as `read_annotations`, without a path; or an archive that is damaged or has no masks.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            if content[:2] == b"PK":
                return _of_archive(_unpacked(content), folder, target, index)
            return _of_file(content, _kind(content), folder, target, index)
        except InputError as error:
            text = str(error).replace(f"{folder}/", "").replace(str(folder), "masks")
            raise InputError(text) from error


def _kind(content: bytes) -> str:
    """Return the suffix for a content."""
    start = content[:200].lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    return {b"<": ".xml", b"{": ".json", b"[": ".json"}.get(start, ".png")


def _of_file(content: bytes, kind: str, folder: Path, target: Target, index: int) -> Annotations:
    """Return the objects of a file; an image, or a single mask of a frame beyond the video, belongs to ``index``."""
    path = folder / f"masks{kind}"
    path.write_bytes(content)
    if kind == ".png":
        return read_annotations(path, target, frame=index)
    found = read_annotations(path, target)
    if len(found.frames) == 1 and max(found.frames) >= (target.length or 0):
        found.frames = {index: next(iter(found.frames.values()))}
    return found


def _unpacked(content: bytes) -> Contents:
    """Return the files of an archive that can be masks; raise `InputError` if it is damaged or too large."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > MAX_FILES or sum(entry.file_size for entry in entries) > UNPACKED_BYTES:
                limits = f"{MAX_FILES} files of {UNPACKED_BYTES >> 20} MiB"
                raise InputError(f"masks: an archive of more than {limits}; split it")
            files = {PurePosixPath(entry.filename): entry for entry in entries}
            return {
                path: archive.read(entry)
                for path, entry in files.items()
                if path.suffix.lower() in KINDS
                and not path.name.startswith(".")
                and "__MACOSX" not in path.parts
            }
    except InputError:
        raise
    except Exception as error:  # each compression method has its own errors
        raise InputError(f"masks: not a readable ZIP archive ({error}); pack it again") from error


def _of_archive(contents: Contents, folder: Path, target: Target, index: int) -> Annotations:
    """Return the objects of an archive: one annotation file, files of LabelMe, or images in folders."""
    images = {path: content for path, content in contents.items() if path.suffix.lower() == ".png"}
    texts = {
        path: content
        for path, content in contents.items()
        if path.suffix.lower() in (".json", ".xml") and path.name not in LEGENDS
    }
    if len(texts) == 1:
        ((path, content),) = texts.items()
        return _of_file(content, path.suffix.lower(), folder, target, index)
    if texts and not images:
        for number, path in enumerate(sorted(texts)):
            (folder / f"{number:05d}.json").write_bytes(texts[path])
        return read_annotations(folder, target)
    if not images:
        raise InputError("masks: none in the archive; add PNGs, or a file of annotations")
    frames = _frames(list(images), target) if len(images) > 1 else dict.fromkeys(images, index)
    plain = replace(target, stem=None)  # files are named after frame numbers here
    legends = [path for path in contents if path.name in LEGENDS]
    if legends:
        (folder / legends[0].name).write_bytes(contents[legends[0]])
        return _in_colours(images, frames, folder, plain)
    return _of_folder(images, frames, folder, plain)


def _of_folder(
    images: Contents, frames: Mapping[PurePosixPath, int], folder: Path, target: Target
) -> Annotations:
    """Return the objects of ``FRAME.png``, or of ``OBJECT/FRAME.png`` if there are several folders."""
    names = sorted({path.parent.name for path in images})
    ids = {name: int(name) for name in names if name.isascii() and name.isdecimal() and 0 < len(name) < 6}
    free = (number for number in range(1, LARGEST_ID) if number not in ids.values())
    ids |= {name: next(free) for name in names if name not in ids}
    top = folder / "masks"
    for path, content in images.items():
        subfolder = top / str(ids[path.parent.name]) if len(names) > 1 else top
        subfolder.mkdir(parents=True, exist_ok=True)
        (subfolder / f"{frames[path]:09d}.png").write_bytes(content)
    found = read_annotations(top, target)
    if len(names) > 1:
        found.class_names |= {number: name for name, number in ids.items() if not name.isdecimal()}
    return found


def _in_colours(
    images: Contents, frames: Mapping[PurePosixPath, int], folder: Path, target: Target
) -> Annotations:
    """Return the objects of coloured images, whose legend is in the folder."""
    result = Annotations(target.size)
    for path, content in images.items():
        kept = folder / "mask.png"
        kept.write_bytes(content)
        found = read_annotations(kept, target, frame=frames[path])
        result.frames |= found.frames
        result.class_names |= found.class_names
    return result


def _frames(paths: Sequence[PurePosixPath], target: Target) -> dict[PurePosixPath, int]:
    """Return the frames of images: by the names of the video's images, otherwise by number."""
    stems = sorted({path.stem for path in paths})
    length, stem_of = target.length, target.stem
    own = {} if stem_of is None else {stem_of(index): index for index in range(length or 0)}
    named = own if all(stem in own for stem in stems) else dict(zip(stems, numbers_of(stems), strict=True))
    return {path: named[path.stem] for path in paths}
