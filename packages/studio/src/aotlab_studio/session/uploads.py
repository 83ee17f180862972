"""Masks from an uploaded file or archive, in all formats that `read_annotations` knows."""

from __future__ import annotations

import lzma
import os
import re
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

import aotlab_video
from aotlab import InputError, sdk
from aotlab.utils.run_folder import EXPORT_RECORD, MASKS, RECORD
from aotlab_studio.document.document import Document
from aotlab_studio.document.log import NO_ORIGIN, Changes, Origin
from aotlab_studio.document.objects import (
    MAX_OBJECTS,
    ObjectInfo,
    clean_classes,
    list_attributes,
    list_names,
    make_object,
)
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.formats.colors import LABEL_MAP
from aotlab_studio.protocol import LoadedMasks
from aotlab_studio.utils.files import ExportRecord, read_json

MAX_UNPACKED_BYTES = 512 * 2**20
MAX_TREE_BYTES = 64 * 2**20
"""Largest size of all XML and JSON of an archive, which take about ten times as much memory when they are read."""
MAX_FILES = 20_000
WITHOUT_MASKS = re.compile(r"(^|/)(\.[^/]|__MACOSX|(review|scores)\.json$)")
"""Pattern of files in an archive without masks: hidden files, files of macOS, the review of results."""
SUFFIX_GROUPS = ((".json", ".xml"), (".png",), (".txt",))
"""Suffixes of mask files in an archive. The first group that occurs is read; images beside annotations are ignored."""
SIDE_FILES = (LABEL_MAP, "_classes.json", "_config.xml")
EXPORTED_MASKS = (
    "coco.json", MASKS, "cvat.xml", "youtube_vis.json", "objects", "label_studio.json", "mots.txt",
    "yolo",
)  # fmt: skip
"""Outputs with masks in an archive of the page, the best first: only COCO stores which objects are absent."""


def load_upload(
    document: Document,
    index: int,
    content: bytes,
    origin: Origin = NO_ORIGIN,
    *,
    chosen: int | None = None,
) -> LoadedMasks:
    """Store the masks of a file as drawn masks, in one edit. A message with the same id is not repeated.

    Args:
        index: frame of an image; other files name their frames.
        content: PNG, JSON, XML or text, or a ZIP of a folder of masks.
        chosen: object that is selected in the page; it gets a single mask without an id or name, such as one of 0 and
            255.

    Raises:
        InputError: the file cannot be read, or has no object that can be stored.
    """
    annotations = read_upload(content, aotlab_video.VideoInfo.from_source(document.frames.source), index)
    with document.once_per_message(origin) as step, document.lock:
        if step:
            loaded = msgspec.convert(document.log.steps[step].result, LoadedMasks, str_keys=True)
            return msgspec.structs.replace(loaded, step=step)
        snapshot, table = document.snapshot, annotations.attribute_table()
        names = annotations.class_names | list_names(table)
        targets = _match_objects(snapshot, annotations, names, chosen)
        locked_ids = {*snapshot.locked_ids}
        unchanged = locked_ids.intersection(targets.values())
        targets = {key: target for key, target in targets.items() if target not in locked_ids}
        if not targets:
            raise InputError("mask: all its objects are locked; unlock them first")
        ids, changes = _find_objects(document, annotations, targets, names, table)
        drawn = _draw_masks(document, annotations, ids)
        unchanged |= locked_ids & drawn.covered.keys()
        lost = {key: count for key, count in drawn.covered.items() if key not in locked_ids}
        changes = msgspec.structs.replace(changes, drawn_masks=drawn.digests)
        loaded = LoadedMasks(sorted(annotations.frames), lost, sorted(unchanged), dict(drawn.replaced))
        document.edit("load masks", changes, min(annotations.frames), drawn.pngs, loaded)
        return msgspec.structs.replace(loaded, step=document.log.head)


def _match_objects(
    snapshot: Snapshot, annotations: aotlab_video.Annotations, names: Mapping[int, str], chosen: int | None
) -> dict[int, int | None]:
    """Return the object for each id in a file: that with this id, unless it has another name; None: a new one.

    Other ids get the object with the same name, unless several have it.
    """
    objects, ids = snapshot.objects, annotations.objects()
    if len(ids) == 1 and ids[0] in annotations.assigned_ids and not names.get(ids[0]):
        return {ids[0]: chosen if chosen in objects else None}
    known = {key: objects[key] for key in ids if key in objects and key not in annotations.assigned_ids}
    same_ids = {
        key
        for key, item in known.items()
        if names.get(key, "") in ("", item.name, item.class_name) or item.name == f"object {key}"
    }
    uses = Counter([*(item.name for item in objects.values()), *names.values()])
    by_name = {item.name: item.id for item in objects.values() if item.id not in same_ids and uses[item.name] == 2}
    return {key: key if key in same_ids else by_name.get(names.get(key, "")) for key in ids}


def _find_objects(
    document: Document,
    annotations: aotlab_video.Annotations,
    targets: Mapping[int, int | None],
    names: Mapping[int, str],
    table: aotlab_video.AttributeTable,
) -> tuple[dict[int, int], Changes]:
    """Return the object id for each id in the file, and the changes of objects, classes and attributes."""
    snapshot, ids, objects = document.snapshot, dict[int, int](), dict[int, ObjectInfo]()
    loaded, attributes = list_attributes(table), dict[int, Any]()
    for file_id, target in targets.items():
        class_name = annotations.class_names.get(file_id, "")
        if target is None:
            is_used = file_id in document.log.used_objects or file_id in objects
            new_id = document.make_object_id({*objects, *annotations.objects()}) if is_used else file_id
            item = make_object(new_id, names.get(file_id, ""), class_name)
        else:
            item = objects.get(target) or snapshot.find_object(target)
        ids[file_id] = item.id
        item = replace(item, class_name=item.class_name or class_name)
        objects[item.id] = document.schema.color_object(item, {**snapshot.objects, **objects})
        if file_id in loaded:
            attributes[item.id] = loaded[file_id]
    if len({*snapshot.objects, *objects}) > MAX_OBJECTS:
        raise InputError(f"mask: too many objects; a video has at most {MAX_OBJECTS}")
    new = {item.class_name: None for item in objects.values() if item.class_name} | annotations.classes
    classes = aotlab_video.add_class_ids(snapshot.state.classes, new)
    return ids, Changes(objects, classes=classes, attributes=attributes)


class DrawnMasks(NamedTuple):
    """Drawn masks of loaded objects and the objects below them, and numbers of pixels by object id."""

    digests: dict[int, dict[int, str]]
    """Digests of masks by frame and object id, as in `State.drawn_masks`."""
    pngs: dict[str, bytes]
    """New masks by digest."""
    covered: Counter[int]
    """Pixels of other objects on which the file has objects; those of locked objects are not drawn."""
    replaced: Counter[int]
    """Pixels of drawn masks that were replaced, except masks that have only grown."""


def _draw_masks(document: Document, annotations: aotlab_video.Annotations, ids: Mapping[int, int]) -> DrawnMasks:
    """Return the masks of a file as drawn masks; ``ids`` are the objects of those in the file."""
    snapshot = document.snapshot
    result = DrawnMasks({}, {}, Counter(), Counter())
    for frame, regions in annotations.frames.items():
        digests = result.digests[frame] = snapshot.drawn_masks(frame)
        loaded, before, drawn = annotations.mask(frame), snapshot.labels(frame), snapshot.drawn_labels(frame)
        for target in dict.fromkeys(ids[region.object_id] for region in regions if region.object_id in ids):
            mask = np.isin(loaded, [key for key in ids if ids[key] == target])
            result.covered.update(before[mask & ~np.isin(before, [0, *ids.values()])].tolist())
            free = mask & ~np.isin(before, snapshot.locked_ids)
            if free.any() or not mask.any():  # absent, or covered by another object of the file
                digests[target] = ""
                if ((old := drawn == target) & ~free).any():
                    result.replaced[target] += int(old.sum())
                drawn[old] = 0
                drawn[free] = target
        for object_id in digests:
            digests[object_id] = document.masks.encode(drawn == object_id, result.pngs)
    return result


def read_upload(content: bytes, video: aotlab_video.VideoInfo, index: int) -> aotlab_video.Annotations:
    """Return the objects of an uploaded file; ``index`` is the frame of an image."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            path = _unpack(content, folder / "masks") if content[:2] == b"PK" else _write(content, folder)
            frame = index if path.suffix.lower() == ".png" else None
            annotations = clean_classes(
                aotlab_video.read_annotations(path, video, frame=frame, check=aotlab_video.require_ids)
            )
        except InputError as error:
            text = str(error).replace(f"{folder}/", "").replace(str(folder), "masks")
            if (
                aotlab_video.START_NUMBER_OPTION in text or aotlab_video.FORMAT_OPTION in text
            ):  # the page has no such options
                text += ", with aotlab convert, and load the file that it writes"
            raise InputError(text) from error
    annotations.frames = {frame: regions for frame, regions in annotations.frames.items() if regions}
    return annotations


def _write(content: bytes, folder: Path) -> Path:
    """Write a file, with a suffix for the format of its content."""
    start = content[:200].lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    suffix = ".txt" if start.isdigit() else {b"<": ".xml", b"{": ".json", b"[": ".json"}.get(start, ".png")
    path = folder / f"masks{suffix}"
    path.write_bytes(content)
    return path


def _unpack(content: bytes, folder: Path) -> Path:
    """Unpack an archive; return its file of masks, or its folder of masks."""
    errors = (zipfile.BadZipFile, lzma.LZMAError, zlib.error, RuntimeError, IndexError)  # of an empty name
    with sdk.reading("masks", "pack it again", *errors), zipfile.ZipFile(BytesIO(content)) as archive:
        for item in archive.infolist():
            item.filename = item.filename.replace("\\", "/")  # of some programs on Windows
        members = [item for item in archive.infolist() if not (item.is_dir() or WITHOUT_MASKS.search(item.filename))]
        trees = [item for item in members if item.filename.lower().endswith(SUFFIX_GROUPS[0])]
        for items, limit in ((members, MAX_UNPACKED_BYTES), (trees, MAX_TREE_BYTES)):
            if len(items) > MAX_FILES or sum(item.file_size for item in items) > limit:
                kind = " of XML or JSON" * (items is trees)
                raise InputError(f"masks: more than {MAX_FILES} files of {limit >> 20} MiB{kind}; split the archive")
        paths = [Path(archive.extract(item, folder)) for item in members]  # extract keeps names inside
    results = {path.parent for path in paths if _is_record(path)}
    if folder in results and not aotlab_video.has_results(folder):  # an archive of the page
        return next((path for name in EXPORTED_MASKS if (path := folder / name).exists()), folder)
    labels = (path for path in paths if path.suffix == ".txt")
    folders = {parent.parent for path in labels for parent in path.parents if parent.name == "labels"}
    if len(folders | results) == 1:
        return (folders | results).pop()
    mask_paths = [path for path in paths if not path.name.endswith(SIDE_FILES)]
    for suffixes in SUFFIX_GROUPS:
        if masks := [path for path in mask_paths if path.suffix.lower() in suffixes]:
            return masks[0] if len(masks) == 1 else Path(os.path.commonpath(path.parent for path in masks))
    raise InputError("masks: none in the archive; add PNGs, or a file of annotations")


def _is_record(path: Path) -> bool:
    """Return whether a file is the record of results or of an export, not one of others with this name."""
    if path.name == EXPORT_RECORD:
        return bool(read_json(path, ExportRecord).files)
    with suppress(InputError):
        return path.name == RECORD and aotlab_video.has_results(path.parent)
    return False
