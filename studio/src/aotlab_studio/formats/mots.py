"""MOTS text, a line for each object and frame: https://www.vision.rwth-aachen.de/page/mots."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from aotlab import InputError, sdk
from aotlab_studio.files import write_bytes, write_json

IDS_PER_CLASS = 1000
"""largest number of objects of one class, plus one"""
IGNORED = 10 * IDS_PER_CLASS
"""object of the region to ignore, where people and cars are not annotated"""


def mots_to_coco(path: Path) -> dict[str, Any]:
    """Return MOTS text as COCO JSON, with the class ids by name from the file beside it.

    The id within its class is the object id, unless several classes use it.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    rows = [line.split() for line in lines if line.strip()]
    if any(len(row) != 6 for row in rows):
        raise ValueError("expected lines of frame, object, class, height, width, run lengths")
    images, annotations = dict[int, Any](), list[dict[str, Any]]()
    uses = defaultdict[int, set[int]](set)
    for *values, counts in rows:
        frame, number, class_id, height, width = map(int, values)
        if number != IGNORED:
            object_id = number % IDS_PER_CLASS
            uses[object_id].add(class_id)
            images[frame] = {"id": frame, "frame_id": frame, "height": height, "width": width}
            segmentation = {"size": [height, width], "counts": counts}
            annotations.append({
                "image_id": frame, "category_id": class_id, "track_id": object_id, "segmentation": segmentation,
            })  # fmt: skip
    for record in annotations:
        if len(uses[record["track_id"]]) > 1:
            record["track_id"] = f"{record['track_id']} of class {record['category_id']}"
    file = path.with_name(f"{path.stem}_classes.json")
    classes = json.loads(file.read_text(encoding="utf-8-sig")) if file.is_file() else {}
    categories = [{"id": class_id, "name": name} for name, class_id in classes.items()]
    return {"images": [*images.values()], "annotations": annotations, "categories": categories}


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
