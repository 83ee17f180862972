"""Label Studio's JSON: a task a frame, with brush masks and polygons: https://labelstud.io/guide/export."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np

from aotlab.masks.exchange.bit_packed import pack, unpack
from aotlab.masks.exchange.coco import DEFAULT_LABEL
from aotlab.masks.exchange.objects import Found, Target, annotate, numbers_of, stem_of
from aotlab.masks.exchange.regions import (
    Annotations,
    Region,
    pixels,
    require_size,
    runs_of,
    runs_of_polygons,
)
from aotlab.masks.exchange.safe_files import listed, points_of, value_of

KINDS = {"brushlabels": "brushlabels", "polygonlabels": "polygonlabels"}
"""type of a result to the key of its labels"""
FOLDER = "/data/local-files/?d="
"""Label Studio's address of pictures in its local storage"""


def is_label_studio(tree: Any) -> bool:
    """Whether JSON is a list of tasks, or one."""
    tasks = tree if isinstance(tree, list) else [tree]
    return bool(tasks) and all(
        isinstance(task, dict)
        and isinstance(task.get("data"), dict)
        and ("annotations" in task or "predictions" in task)
        for task in tasks
    )


def read_label_studio(tree: Any, target: Target, name: str) -> Annotations:
    """Objects of the tasks' first annotations, or where nobody annotated yet, predictions.

    Regions whose id comes in several tasks are of one object.

    Raises:
        InputError: another size, a region that cannot be drawn, or none.
    """
    tasks = [task for task in (tree if isinstance(tree, list) else [tree]) if _results(task)]
    names = [_picture(task) for task in tasks]
    frames = numbers_of(names)
    tasks_of: dict[Any, set[int]] = defaultdict(set)
    for number, task in enumerate(tasks):
        for result in _results(task):
            tasks_of[str(result.get("id"))].add(number)
    found: list[Found] = []
    for frame, task in zip(frames, tasks, strict=True):
        for result in _results(task):
            repeated = len(tasks_of[str(result.get("id"))]) > 1
            found += _found(result, frame, target, name, key=_key(result.get("id"), repeated))
    annotations = annotate(found, target.size, name)
    annotations.stems = {frame: stem_of(file) for frame, file in zip(frames, names, strict=True)}
    return annotations


def write_label_studio(annotations: Annotations, video: str) -> list[dict[str, Any]]:
    """Label Studio's predictions of a tracked video: a task a frame, a brush mask an object.

    The labelling interface needs ``<Image name="image"/>`` and ``<BrushLabels name="tag" toName="image"/>``.
    """
    tasks = []
    for frame in sorted(annotations.frames):
        regions = [region for region in annotations.frames[frame] if region.runs[1::2].any()]
        stem = annotations.stems.get(frame, f"{frame:05d}")
        scores = [region.confidence for region in regions]
        prediction = {
            "model_version": "aotlab",
            "score": round(sum(scores) / len(scores), 4) if scores else 0.0,
            "result": [_result(region, annotations) for region in regions],
        }
        tasks.append({"data": {"image": f"{FOLDER}{video}/{stem}.jpg"}, "predictions": [prediction]})
    return tasks


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
            "brushlabels": [annotations.labels.get(region.object_id, DEFAULT_LABEL)],
        },
    }


def _results(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The regions of a task that are masks."""
    for key in ("annotations", "predictions"):
        for version in listed(task.get(key)):
            if isinstance(version, dict) and not version.get("was_cancelled") and version.get("result"):
                return [
                    one
                    for one in listed(version["result"])
                    if isinstance(one, dict) and one.get("type") in list(KINDS)
                ]
    return []


def _found(
    result: dict[str, Any], frame: int, target: Target, name: str, *, key: Hashable
) -> Iterator[Found]:
    size = require_size(result.get("original_height"), result.get("original_width"), name)
    target.require_same(size, name)
    value = value_of(result, "value", dict, name)
    labels = value.get(KINDS[result["type"]])
    label = str(labels[0]) if isinstance(labels, list) and labels else ""
    yield Found(frame, _runs(value, size, name), label, key)


def _runs(value: dict[str, Any], size: tuple[int, int], name: str) -> np.ndarray:
    if "rle" in value:
        return runs_of(unpack(value["rle"], size, name))
    points = points_of(value.get("points"), name)
    scaled = [part for x, y in points for part in (x / 100 * size[1], y / 100 * size[0])]
    return runs_of_polygons([scaled], size, name)


def _key(identity: Any, repeated: bool) -> Hashable:
    """What names the object of a region."""
    ours = re.fullmatch(r"object-(\d{1,5})", str(identity))
    if ours:
        return int(ours[1])
    return str(identity) if repeated else None


def _picture(task: dict[str, Any]) -> str:
    """The picture's name: the first text of the task's data."""
    return next((value for value in task["data"].values() if isinstance(value, str)), "")
