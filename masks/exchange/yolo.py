"""YOLO segmentation labels: a text file for each frame, a line for each outline."""

from __future__ import annotations

import json

from aotlab.masks.exchange.outlines import outlines_of
from aotlab.masks.exchange.regions import Annotations, Written, pixels


def write_yolo(annotations: Annotations, video: Written) -> dict[str, str]:
    """Return texts by file name: ``labels/<frame>.txt`` with a class and relative coordinates a line, ``data.yaml``.

    An object in several parts has several lines; holes are filled, as the format has none.
    """
    height, width = annotations.size
    classes, texts = annotations.classes(), {}
    for frame in sorted(annotations.frames):
        lines = []
        for region in annotations.frames[frame]:
            kind = classes[annotations.label(region.object_id)] - 1
            for outline in outlines_of(pixels(region.runs, annotations.size)):
                parts = [value / (height if index % 2 else width) for index, value in enumerate(outline)]
                lines.append(" ".join([str(kind), *(f"{part:.6f}" for part in parts)]))
        texts[f"labels/{annotations.stem(frame)}.txt"] = "".join(f"{line}\n" for line in lines)
    names = "".join(f"  {index - 1}: {json.dumps(name)}\n" for name, index in classes.items())
    texts["data.yaml"] = f"path: .\ntrain: images\nval: images\nnames:\n{names}"
    return texts
