"""YOLO segmentation labels: a text file a frame, a line an outline."""

from __future__ import annotations

import json

from aotlab.masks.exchange.coco import category_ids
from aotlab.masks.exchange.regions import Annotations, outlines_of, pixels


def write_yolo(annotations: Annotations) -> dict[str, str]:
    """Texts by file name: ``labels/<frame>.txt`` with a class and relative coordinates a line, and ``data.yaml``.

    An object in several parts has several lines; holes are filled, as the format has none.
    """
    height, width = annotations.size
    categories, classes = category_ids(annotations)
    texts = {}
    for frame in sorted(annotations.frames):
        lines = []
        for region in annotations.frames[frame]:
            for outline in outlines_of(pixels(region.runs, annotations.size)):
                parts = [value / (height if index % 2 else width) for index, value in enumerate(outline)]
                lines.append(
                    " ".join([str(classes[region.object_id] - 1), *(f"{part:.6f}" for part in parts)])
                )
        stem = annotations.stems.get(frame, f"{frame:05d}")
        texts[f"labels/{stem}.txt"] = "".join(f"{line}\n" for line in lines)
    names = "".join(f"  {one['id'] - 1}: {json.dumps(one['name'])}\n" for one in categories)
    texts["data.yaml"] = f"path: .\ntrain: images\nval: images\nnames:\n{names}"
    return texts
