"""MOTS text, a line for each object and frame: https://www.vision.rwth-aachen.de/page/mots."""

from __future__ import annotations

from dataclasses import replace

from aotlab.masks.exchange.regions import (
    Annotations,
    Found,
    Size,
    Written,
    compress,
    require_runs,
    require_size,
)
from aotlab.masks.exchange.safe_files import ContentError, whole
from aotlab.utils.errors import InputError

INSTANCES = 1000
"""number of objects of one class that the format can tell apart"""


def parse_mots(text: str, size: Size) -> list[Found]:
    """Return the objects of MOTS text; the id within its class is the object id, unless several classes have it.

    Raises:
        ContentError: a line without the format's six fields, or another size.
    """
    fields = [line.split() for line in text.splitlines() if line.strip()]
    if any(len(parts) != 6 for parts in fields):
        raise ContentError(
            "not MOTS text; expected lines of frame, object, class, height, width, run lengths"
        )
    found, kinds = [], dict[int, set[int]]()
    for parts in fields:
        frame, number, kind, height, width = map(whole, parts[:5])
        require_size(height, width, size)
        if frame < 0:
            raise ContentError(f"frame {frame}; expected frames from 0")
        kinds.setdefault(number % INSTANCES, set()).add(kind)
        found.append(Found(frame, require_runs(parts[5], size), key=(kind, number % INSTANCES)))
    return [
        replace(one, key=one.key[1]) if isinstance(one.key, tuple) and len(kinds[one.key[1]]) == 1 else one
        for one in found
    ]


def write_mots(annotations: Annotations, video: Written) -> str:
    """Return lines ``frame object class height width run-lengths``; objects without pixels on a frame are left out.

    By the format's rule, an object is written as 1000 times its class plus its id.

    Raises:
        InputError: an object id of 1000 or more.
    """
    height, width = annotations.size
    large = [number for number in annotations.objects() if number >= INSTANCES]
    if large:
        raise InputError(
            f"{video.video}: MOTS text cannot hold object {large[0]}; give ids below {INSTANCES}, or another format"
        )
    lines = []
    for frame in sorted(annotations.frames):
        for region in annotations.frames[frame]:
            if region.runs[1::2].any():
                kind = annotations.classes()[annotations.label(region.object_id)]
                number = kind * INSTANCES + region.object_id
                lines.append(f"{frame} {number} {kind} {height} {width} {compress(region.runs)}\n")
    return "".join(lines)
