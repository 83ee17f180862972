"""MOTS text, a line for each object and frame: https://www.vision.rwth-aachen.de/page/mots."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from aotlab import Annotations, InputError, MaskWriter, ParsedRegion, VideoInfo, format_coco, parse_runs
from aotlab_studio.files import write_bytes
from aotlab_studio.formats.geometry import Size, require_size

IDS_PER_CLASS = 1000
"""largest number of objects of one class, plus one"""
IGNORED = 10 * IDS_PER_CLASS
"""object of the region to ignore, where people and cars are not annotated"""


def parse_mots(text: str, size: Size) -> list[ParsedRegion]:
    """Return the objects; the id within its class is the object id, unless several classes use it."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    if any(len(row) != 6 for row in rows):
        raise InputError("not MOTS text; expected lines of frame, object, class, height, width, run lengths")
    records, classes = [], defaultdict[int, set[int]](set)
    for *values, counts in rows:
        frame, number, class_id, height, width = map(int, values)
        require_size(height, width, size)
        if number == IGNORED:
            continue
        classes[number % IDS_PER_CLASS].add(class_id)
        records.append((frame, parse_runs(counts, size), number % IDS_PER_CLASS, class_id))
    return [
        ParsedRegion(frame, runs, key=object_id if len(classes[object_id]) == 1 else (class_id, object_id))
        for frame, runs, object_id, class_id in records
    ]


def _write(path: Path, annotations: Annotations, video: VideoInfo) -> None:
    """Write lines ``frame object class height width run-lengths``; objects without pixels on a frame are left out.

    By the format's rule, an object is written as 1000 times its class plus its id.
    """
    height, width = annotations.size
    large = [object_id for object_id in annotations.objects() if object_id >= IDS_PER_CLASS]
    if large:
        raise InputError(
            f"{video.name}: MOTS text cannot hold object {large[0]}; give ids below {IDS_PER_CLASS}, or another format"
        )
    lines = []
    for record in format_coco(annotations, video)["annotations"]:
        if record["area"]:
            class_id, counts = record["category_id"], record["segmentation"]["counts"]
            number = class_id * IDS_PER_CLASS + record["track_id"]
            lines.append(f"{record['image_id'] - 1} {number} {class_id} {height} {width} {counts}\n")
    write_bytes(path, "".join(lines).encode())


MOTS = MaskWriter("mots.txt", "MOTS", _write)
