"""MOTS text, a line for each object and frame: https://www.vision.rwth-aachen.de/page/mots."""

from __future__ import annotations

from collections import defaultdict

from aotlab.masks.exchange.regions import (
    Annotations,
    Found,
    Size,
    Written,
    compress,
    require_runs,
    require_size,
)
from aotlab.masks.exchange.safe_files import ContentError
from aotlab.utils.errors import InputError

INSTANCES = 1000
"""largest number of objects of one class, plus one"""


def parse_mots(text: str, size: Size) -> list[Found]:
    """Return the objects of MOTS text; the id within its class is the object id, unless several classes use it.

    Raises:
        ContentError: a line without the format's six fields, or another size.
    """
    fields = [line.split() for line in text.splitlines() if line.strip()]
    if any(len(parts) != 6 for parts in fields):
        raise ContentError(
            "not MOTS text; expected lines of frame, object, class, height, width, run lengths"
        )
    found, classes = [], defaultdict[int, set[int]](set)
    for *values, counts in fields:
        frame, number, class_id, height, width = map(int, values)
        require_size(height, width, size)
        classes[number % INSTANCES].add(class_id)
        found.append((frame, require_runs(counts, size), number % INSTANCES, class_id))
    return [
        Found(frame, runs, key=object_id if len(classes[object_id]) == 1 else (class_id, object_id))
        for frame, runs, object_id, class_id in found
    ]


def write_mots(annotations: Annotations, video: Written) -> str:
    """Return lines ``frame object class height width run-lengths``; objects without pixels on a frame are left out.

    By the format's rule, an object is written as 1000 times its class plus its id.

    Raises:
        InputError: an object id of 1000 or more.
    """
    height, width = annotations.size
    large = [object_id for object_id in annotations.objects() if object_id >= INSTANCES]
    if large:
        raise InputError(
            f"{video.video}: MOTS text cannot hold object {large[0]}; give ids below {INSTANCES}, or another format"
        )
    lines, classes = [], annotations.class_ids()
    for frame, region in annotations.regions():
        if region.area:
            class_id = classes[annotations.class_name(region.object_id)]
            number = class_id * INSTANCES + region.object_id
            lines.append(f"{frame} {number} {class_id} {height} {width} {compress(region.runs)}\n")
    return "".join(lines)
