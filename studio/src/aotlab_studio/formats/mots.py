"""MOTS text, a line for each object and frame: https://www.vision.rwth-aachen.de/page/mots."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from aotlab import InputError, sdk
from aotlab_studio.files import write_bytes, write_json
from aotlab_studio.formats.geometry import ParsedFile, Size

IDS_PER_CLASS = 1000
"""largest number of objects of one class, plus one"""
IGNORED = 10 * IDS_PER_CLASS
"""object of the region to ignore, where people and cars are not annotated"""


def parse_mots(path: Path, size: Size) -> ParsedFile:
    """Return the objects and class ids by class name, from the file beside it; without one, "class 2" for the class 2.

    The id within its class is the object id, unless several classes use it.
    """
    rows = [
        line.split()
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip()
    ]
    if any(len(row) != 6 for row in rows):
        raise ValueError("expected lines of frame, object, class, height, width, run lengths")
    records, uses = [], defaultdict[int, set[int]](set)
    for *values, counts in rows:
        frame, number, class_id, height, width = map(int, values)
        sdk.require_size(height, width, size)
        if number != IGNORED:
            uses[number % IDS_PER_CLASS].add(class_id)
            records.append((frame, sdk.parse_rle(counts, size), number % IDS_PER_CLASS, class_id))
    classes = _read_classes(path)
    if classes is None:
        classes = {f"class {class_id}": class_id for class_id in sorted({int(row[2]) for row in rows})}
    names = {class_id: name for name, class_id in classes.items()}
    regions = []
    for frame, rle, object_id, class_id in records:
        key = object_id if len(uses[object_id]) == 1 else (class_id, object_id)
        regions.append(sdk.ParsedRegion(frame, rle, names.get(class_id, ""), key))
    return ParsedFile(regions, classes)


def _read_classes(path: Path) -> dict[str, int] | None:
    """Return class ids by class name from the file beside MOTS text; None without one."""
    file = path.with_name(f"{path.stem}_classes.json")
    if not file.is_file():
        return None
    tree = json.loads(file.read_text(encoding="utf-8-sig"))
    if not isinstance(tree, dict) or not all(type(value) is int for value in tree.values()):
        raise ValueError(f"{file.name} is not class ids by class name")
    return tree


def _write(path: Path, annotations: sdk.Annotations, video: sdk.VideoInfo) -> None:
    """Write lines ``frame object class height width run-lengths``; objects without pixels on a frame are left out.

    By the format's rule, an object is written as 1000 times its class plus its id. A file beside it has the class ids
    by name.
    """
    height, width = annotations.size
    large = [object_id for object_id in annotations.objects() if object_id >= IDS_PER_CLASS]
    if large:
        raise InputError(
            f"{video.name}: MOTS text cannot hold object {large[0]}; give ids below {IDS_PER_CLASS}, or another format"
        )
    lines = []
    for record in sdk.format_coco(annotations, video)["annotations"]:
        if record["area"]:
            class_id, counts = record["category_id"], record["segmentation"]["counts"]
            number = class_id * IDS_PER_CLASS + record["track_id"]
            lines.append(f"{record['image_id'] - 1} {number} {class_id} {height} {width} {counts}\n")
    write_bytes(path, "".join(lines).encode())
    write_json(path.with_name(f"{path.stem}_classes.json"), annotations.class_ids(), indent=1)


MOTS = sdk.MaskWriter("mots.txt", "MOTS", _write)
