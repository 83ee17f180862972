"""Label Studio's JSON: a task for each frame, with brush masks and polygons: https://labelstud.io/guide/export."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterator
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from aotlab.masks.exchange.bit_packed import pack, unpack
from aotlab.masks.exchange.matching import Target, numbers_of, stem_of
from aotlab.masks.exchange.outlines import runs_of_polygons
from aotlab.masks.exchange.regions import (
    Annotations,
    Found,
    Region,
    Size,
    Written,
    pixels,
    require_size,
    runs_of,
)
from aotlab.masks.exchange.safe_files import points_of, value_of

KINDS = ("brushlabels", "polygonlabels")
"""types of results that are masks; also the keys of their labels"""
FOLDER = "/data/local-files/?d="
"""address of images in Label Studio's local storage"""


def is_label_studio(tree: Any) -> bool:
    """Return whether JSON is a list of tasks, or one."""
    tasks = tree if isinstance(tree, list) else [tree]
    return bool(tasks) and all(
        isinstance(task, dict)
        and isinstance(task.get("data"), dict)
        and ("annotations" in task or "predictions" in task)
        for task in tasks
    )


def parse_label_studio(tree: Any, target: Target) -> list[Found]:
    """Return the objects of the tasks' first annotations, or of their predictions if nobody annotated them.

    Regions whose id is in several tasks are one object.

    Raises:
        ContentError: another size, or a region that cannot be drawn.
    """
    tasks = [task for task in (tree if isinstance(tree, list) else [tree]) if _results(task)]
    names = [next((text for text in task["data"].values() if isinstance(text, str)), "") for task in tasks]
    uses = Counter(name for task in tasks for name in {str(result.get("id")) for result in _results(task)})
    return [
        Found(
            frame,
            _runs(result, target.size),
            _label(result),
            _key(str(result.get("id")), uses),
            stem_of(name),
        )
        for frame, name, task in zip(numbers_of(names), names, tasks, strict=True)
        for result in _results(task)
    ]


def write_label_studio(annotations: Annotations, video: Written) -> list[dict[str, Any]]:
    """Return Label Studio's predictions: a task for each frame, a brush mask for each object on it.

    `labelling_config` is the labelling interface that they need.
    """
    tasks = []
    for frame in sorted(annotations.frames):
        regions = [region for region in annotations.frames[frame] if region.runs[1::2].any()]
        scores = [region.confidence for region in regions]
        prediction = {
            "model_version": "aotlab",
            "score": round(sum(scores) / len(scores), 4) if scores else 0.0,
            "result": [_result(region, annotations) for region in regions],
        }
        image = f"{FOLDER}{video.video}/{annotations.stem(frame)}.jpg"
        tasks.append({"data": {"image": image}, "predictions": [prediction]})
    return tasks


def labelling_config(annotations: Annotations) -> str:
    """Return the labelling interface that shows the predictions of `write_label_studio`."""
    view = Element("View")
    SubElement(view, "Image", name="image", value="$image")
    labels = SubElement(view, "BrushLabels", name="tag", toName="image")
    for name in annotations.classes() or ["object"]:
        SubElement(labels, "Label", value=name)
    indent(view)
    return tostring(view, encoding="unicode") + "\n"


def _result(region: Region, annotations: Annotations) -> dict[str, Any]:
    height, width = annotations.size
    return {
        "id": f"object-{region.object_id}",
        "type": "brushlabels",
        "from_name": "tag",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "score": round(region.confidence, 4),
        "value": {
            "format": "rle",
            "rle": pack(pixels(region.runs, annotations.size)),
            "brushlabels": [annotations.label(region.object_id)],
        },
    }


def _results(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The regions of a task that are masks."""
    for version in (*_listed(task.get("annotations")), *_listed(task.get("predictions"))):
        if not version.get("was_cancelled") and version.get("result"):
            return [one for one in _listed(version["result"]) if one.get("type") in KINDS]
    return []


def _listed(value: Any) -> Iterator[dict[str, Any]]:
    return (one for one in (value if isinstance(value, list) else ()) if isinstance(one, dict))


def _label(result: dict[str, Any]) -> str:
    labels = value_of(result, "value", dict).get(result["type"])
    return str(labels[0]) if isinstance(labels, list) and labels else ""


def _runs(result: dict[str, Any], size: Size) -> np.ndarray:
    require_size(result.get("original_height"), result.get("original_width"), size)
    value = value_of(result, "value", dict)
    if "rle" in value:
        return runs_of(unpack(value["rle"], size))
    percent = points_of(value.get("points"))
    return runs_of_polygons(
        [[part for x, y in percent for part in (x / 100 * size[1], y / 100 * size[0])]], size
    )


def _key(name: str, uses: Counter[str]) -> Hashable:
    """The name of a region's object: our object id, or the region's id if several tasks have it."""
    ours = re.fullmatch(r"object-(\d{1,5})", name)
    return int(ours[1]) if ours else name if uses[name] > 1 else None
