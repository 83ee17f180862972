"""MOTS text, a line for each object and frame: https://www.vision.rwth-aachen.de/page/mots."""

from __future__ import annotations

from aotlab.masks.exchange.regions import Annotations, Written, compress
from aotlab.utils.errors import InputError

INSTANCES = 1000
"""number of objects of one class that the format can tell apart"""


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
