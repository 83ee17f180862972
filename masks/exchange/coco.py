"""COCO and YouTube-VIS JSON: https://cocodataset.org/#format-data, https://youtube-vos.org/dataset/vis."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from typing import Any

import numpy as np

from aotlab.masks.exchange.objects import Found, Target, annotate, numbers_of, stem_of
from aotlab.masks.exchange.regions import (
    Annotations,
    Region,
    Size,
    compress,
    require_runs,
    require_size,
    runs_of_polygons,
)
from aotlab.masks.exchange.safe_files import id_of, records, value_of
from aotlab.utils.errors import InputError

IDENTITIES = ("track_id", "instance_id", "object_id")
"""keys under which exporters name the object of an annotation, also within "attributes" """
DEFAULT_LABEL = "object"


def read_coco(tree: Any, target: Target, name: str) -> Annotations:
    """Objects of the pictures of one video in COCO JSON.

    Raises:
        InputError: something is missing or not as it should be.
    """
    images = [image for image in records(tree, "images", name) if _of_video(image, tree, target, name)]
    sizes = {require_size(image.get("height"), image.get("width"), name) for image in images}
    for size in sizes:
        target.require_same(size, name)
    names = [str(image.get("file_name", "")) for image in images]
    frames = _stated_frames(images) or numbers_of(names)
    ids = [id_of(image, "id", name) for image in images]
    where = {number: frame for number, frame in zip(ids, frames, strict=True) if number is not None}
    labels = _labels(tree, name)
    found = [
        Found(where[record["image_id"]], _runs(record.get("segmentation"), target.size, name),
              labels.get(id_of(record, "category_id", name), ""), _identity(record))
        for record in records(tree, "annotations", name)
        if id_of(record, "image_id", name) in where and record.get("segmentation")
    ]  # fmt: skip
    result = annotate(found, target.size, name)
    result.stems = {frame: stem_of(file) for frame, file in zip(frames, names, strict=True) if file}
    return result


def read_youtube_vis(tree: Any, target: Target, name: str) -> Annotations:
    """Objects of one video in YouTube-VIS JSON; arguments and errors as `read_coco`."""
    video = _video(records(tree, "videos", name), target, name)
    size = require_size(video.get("height"), video.get("width"), name)
    target.require_same(size, name)
    labels, found = _labels(tree, name), []
    for number, record in enumerate(records(tree, "annotations", name), start=1):
        if record.get("video_id") != video.get("id"):
            continue
        identity, label = _identity(record), labels.get(id_of(record, "category_id", name), "")
        key = ("annotation", number) if identity is None else identity
        for frame, segmentation in enumerate(value_of(record, "segmentations", list, name)):
            if segmentation:
                found.append(Found(frame, _runs(segmentation, size, name), label, key))
    result = annotate(found, size, name)
    files = video.get("file_names")
    if isinstance(files, list):
        result.stems = {frame: stem_of(str(file)) for frame, file in enumerate(files)}
    return result


def write_coco(annotations: Annotations, video: str, *, rate: str, length: int) -> dict[str, Any]:
    """COCO JSON of a tracked video: an image a frame, an annotation an object on it, and ``track_id``.

    ``score`` is the tracker's confidence, ``lost`` whether the object is taken to be out of sight.

    Args:
        annotations: the objects.
        video: the video's name.
        rate: frames per second, as text that may be a fraction.
        length: number of frames; those without objects are images too.
    """
    height, width = annotations.size
    files = [f"{video}/{annotations.stems.get(frame, f'{frame:05d}')}.jpg" for frame in range(length)]
    images = [
        {
            "id": frame + 1,
            "video_id": 1,
            "frame_id": frame,
            "file_name": file,
            "height": height,
            "width": width,
        }
        for frame, file in enumerate(files)
    ]
    regions = [
        (frame, region) for frame in sorted(annotations.frames) for region in annotations.frames[frame]
    ]
    categories, category = category_ids(annotations)
    return {
        "info": {"description": f"{video}: tracked objects", "rate": rate},
        "videos": [{"id": 1, "name": video, "height": height, "width": width, "length": length}],
        "images": images,
        "annotations": [
            _annotation(number, frame, region, annotations.size) | {"category_id": category[region.object_id]}
            for number, (frame, region) in enumerate(regions, start=1)
        ],
        "categories": categories,
    }


def write_youtube_vis(annotations: Annotations, video: str, *, rate: str, length: int) -> dict[str, Any]:
    """YouTube-VIS JSON of a tracked video: an annotation an object, with a segmentation or null for each frame."""
    height, width = annotations.size
    files = [f"{video}/{annotations.stems.get(frame, f'{frame:05d}')}.jpg" for frame in range(length)]
    tracks: dict[int, dict[int, Region]] = defaultdict(dict)
    for frame, regions in annotations.frames.items():
        for region in regions:
            tracks[region.object_id][frame] = region
    categories, category = category_ids(annotations)
    return {
        "info": {"description": f"{video}: tracked objects", "rate": rate},
        "videos": [
            {"id": 1, "file_names": files, "height": height, "width": width, "length": length}
        ],
        "annotations": [
            _track(number, tracks[number], annotations.size, length) | {"category_id": category[number]}
            for number in sorted(tracks)
        ],
        "categories": categories,
    }  # fmt: skip


def encoded(runs: np.ndarray, size: Size) -> dict[str, Any]:
    """COCO's compressed run lengths, ready for JSON."""
    return {"size": list(size), "counts": compress(runs)}


def box_of(runs: np.ndarray, size: Size) -> list[float]:
    """x, y, width and height of the box around a region; zeros where it is empty."""
    starts = np.cumsum(runs)[:-1:2] if len(runs) > 1 else np.array([], dtype=np.int64)
    lengths = runs[1::2]
    starts, lengths = starts[: len(lengths)][lengths > 0], lengths[lengths > 0]
    if not len(starts):
        return [0.0, 0.0, 0.0, 0.0]
    height, last = size[0], starts + lengths - 1
    left, right = int(starts[0] // height), int(last[-1] // height)
    over = (starts // height) != (last // height)  # a run that goes on in the next column touches both edges
    top = 0 if over.any() else int((starts % height).min())
    bottom = height - 1 if over.any() else int((last % height).max())
    return [float(left), float(top), float(right - left + 1), float(bottom - top + 1)]


def _annotation(number: int, frame: int, region: Region, size: Size) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": frame + 1,
        "track_id": region.object_id,
        "segmentation": encoded(region.runs, size),
        "area": int(region.runs[1::2].sum()),
        "bbox": box_of(region.runs, size),
        "iscrowd": 0,
        "score": round(region.confidence, 4),
        "lost": region.lost,
        "attributes": {"track_id": region.object_id},  # where CVAT and datumaro look for it
    }


def _track(number: int, regions: dict[int, Region], size: Size, length: int) -> dict[str, Any]:
    by_frame = [regions.get(frame) for frame in range(length)]
    seen = [region if region is not None and region.runs[1::2].any() else None for region in by_frame]
    scores = [region.confidence for region in seen if region is not None]
    return {
        "id": number,
        "video_id": 1,
        "track_id": number,
        "iscrowd": 0,
        "score": round(sum(scores) / len(scores), 4) if scores else 0.0,
        "height": size[0],
        "width": size[1],
        "segmentations": [region and encoded(region.runs, size) for region in seen],
        "bboxes": [region and box_of(region.runs, size) for region in seen],
        "areas": [region and int(region.runs[1::2].sum()) for region in seen],
    }


def category_ids(annotations: Annotations) -> tuple[list[dict[str, Any]], dict[int, int]]:
    """A category with an id from 1 for every label, and that of each object."""
    objects = annotations.objects()
    labels = {number: annotations.labels.get(number, DEFAULT_LABEL) for number in objects}
    ids = {label: index for index, label in enumerate(sorted(set(labels.values())), start=1)}
    categories = [{"id": index, "name": label, "supercategory": ""} for label, index in ids.items()]
    return categories, {number: ids[label] for number, label in labels.items()}


def _labels(tree: Any, name: str) -> dict[Any, str]:
    return {
        id_of(record, "id", name): str(record.get("name", "")) for record in records(tree, "categories", name)
    } if tree.get("categories") else {}  # fmt: skip


def _identity(record: dict[str, Any]) -> Hashable:
    """What names the object of an annotation, or None."""
    attributes = record.get("attributes")
    for holder in (record, attributes if isinstance(attributes, dict) else {}):
        for key in IDENTITIES:
            found = holder.get(key)
            if isinstance(found, int | str) and not isinstance(found, bool):
                return found
    return None


def _runs(segmentation: Any, size: Size, name: str) -> np.ndarray:
    """Run lengths of polygons, a list of counts, or compressed text."""
    if isinstance(segmentation, list):
        return runs_of_polygons(segmentation, size, name)
    if isinstance(segmentation, dict) and segmentation.get("size") in (list(size), tuple(size)):
        return require_runs(segmentation.get("counts"), size, name)
    raise InputError(
        f"{name}: a segmentation is {str(segmentation)[:60]!r}; expected polygons or run lengths of {size[1]}×{size[0]}"
    )


def _stated_frames(images: list[dict[str, Any]]) -> list[int]:
    """The frame numbers that all images state; empty where one does not."""
    stated = [image.get("frame_id", image.get("frame_index")) for image in images]
    frames = [
        frame for frame in stated if isinstance(frame, int) and not isinstance(frame, bool) and frame >= 0
    ]
    return frames if len(frames) == len(images) else []


def _of_video(image: dict[str, Any], tree: Any, target: Target, name: str) -> bool:
    """Whether an image is of the wanted video; a file without videos is of one."""
    videos = tree.get("videos")
    if not isinstance(videos, list) or len(videos) < 2 or "video_id" not in image:
        return True
    return bool(image["video_id"] == _video(records(tree, "videos", name), target, name).get("id"))


def _video(videos: list[dict[str, Any]], target: Target, name: str) -> dict[str, Any]:
    """The only video, or the one that is called like the wanted one or whose pictures lie in a folder of its name."""
    if len(videos) == 1:
        return videos[0]
    for video in videos:
        files = video.get("file_names")
        first = str(files[0]) if isinstance(files, list) and files else ""
        if target.name in (stem_of(str(video.get("name", ""))), first.rpartition("/")[0].rpartition("/")[2]):
            return video
    raise InputError(
        f"{name}: holds {len(videos)} videos, none called {target.name}; rename one or split the file"
    )
