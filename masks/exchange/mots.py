"""MOTS text: a line an object and frame, https://www.vision.rwth-aachen.de/page/mots."""

from __future__ import annotations

from aotlab.masks.exchange.coco import category_ids
from aotlab.masks.exchange.regions import Annotations, compress
from aotlab.utils.errors import InputError

INSTANCES = 1000
"""Objects of one class that the format can tell apart."""


def write_mots(annotations: Annotations) -> str:
    """Lines ``frame object class height width run-lengths``; objects without pixels on a frame are left out.

    As the format has it, an object is 1000 times its class and its number.

    Raises:
        InputError: an object's id is 1000 or more.
    """
    height, width = annotations.size
    _, classes = category_ids(annotations)
    large = [number for number in classes if number >= INSTANCES]
    if large:
        raise InputError(f"MOTS text: object {large[0]}; give ids below {INSTANCES}, or write another format")
    return "".join(
        f"{frame} {classes[region.object_id] * INSTANCES + region.object_id} {classes[region.object_id]} "
        f"{height} {width} {compress(region.runs)}\n"
        for frame in sorted(annotations.frames)
        for region in annotations.frames[frame]
        if region.runs[1::2].any()
    )
