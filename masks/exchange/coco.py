"""COCO and YouTube-VIS JSON: https://cocodataset.org/#format-data, https://youtube-vos.org/dataset/vis."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from aotlab.masks.exchange.matching import Target, numbers_of, stem_of
from aotlab.masks.exchange.regions import (
    Annotations,
    Found,
    Region,
    Size,
    Written,
    box_of,
    compress,
    mean_confidence,
    require_runs,
    require_size,
    runs_of_polygons,
)
from aotlab.masks.exchange.safe_files import ContentError

KEYS = ("track_id", "instance_id", "object_id")
"""fields in which exporters store the object of an annotation, also within "attributes" """


def parse_coco(tree: Any, target: Target) -> list[Found]:
    """Return the objects of the target in COCO JSON; raises `ContentError` for another size, or without the video."""
    images, videos = tree["images"], tree.get("videos") or []
    if len(videos) > 1:
        wanted = _video(videos, target.name)["id"]
        images = [image for image in images if image.get("video_id", wanted) == wanted]
    for image in images:
        require_size(image["height"], image["width"], target.size)
    names = [str(image.get("file_name", "")) for image in images]
    stated = [image.get("frame_id", image.get("frame_index")) for image in images]
    frames = stated if all(type(frame) is int for frame in stated) else numbers_of(names)
    places = {image["id"]: place for image, *place in zip(images, frames, names, strict=True)}
    class_names, found = _class_names(tree), []
    for record in tree["annotations"]:
        if record["image_id"] in places and record.get("segmentation"):
            frame, name = places[record["image_id"]]
            runs = _runs(record["segmentation"], target.size)
            class_name = class_names.get(record.get("category_id"), "")
            found.append(Found(frame, runs, class_name, _key(record), stem_of(name)))
    return found


def parse_youtube_vis(tree: Any, target: Target) -> list[Found]:
    """Return the objects of one video in YouTube-VIS JSON; errors as `parse_coco`."""
    video = _video(tree["videos"], target.name)
    require_size(video["height"], video["width"], target.size)
    stems = [stem_of(str(file)) for file in video.get("file_names") or ()]
    class_names, found = _class_names(tree), []
    for index, record in enumerate(tree["annotations"]):
        if record.get("video_id") == video.get("id"):
            key, class_name = _key(record), class_names.get(record.get("category_id"), "")
            key = ("annotation", index) if key is None else key
            for frame, segmentation in enumerate(record["segmentations"]):
                if segmentation:
                    stem = stems[frame] if frame < len(stems) else ""
                    found.append(Found(frame, _runs(segmentation, target.size), class_name, key, stem))
    return found


def write_coco(annotations: Annotations, video: Written) -> dict[str, Any]:
    """Return COCO JSON: an image for each frame, an annotation with ``track_id`` for each object on it.

    ``score`` is the tracker's confidence; ``lost`` is true while the object is presumed out of sight.
    """
    height, width = annotations.size
    classes = annotations.class_ids()
    return {
        **_head(annotations, video, {"name": video.video}),
        "images": [
            {"id": frame + 1, "video_id": 1, "frame_id": frame, "file_name": file, "height": height, "width": width}
            for frame, file in enumerate(_files(annotations, video))
        ],
        "annotations": [
            {
                "id": count,
                "image_id": frame + 1,
                "track_id": region.object_id,
                "segmentation": encoded(region.runs, annotations.size),
                "area": region.area,
                "bbox": box_of(region.runs, annotations.size),
                "iscrowd": 0,
                "score": round(region.confidence, 4),
                "lost": region.lost,
                "attributes": {"track_id": region.object_id},  # for CVAT and datumaro
                "category_id": classes[annotations.class_name(region.object_id)],
            }
            for count, (frame, region) in enumerate(annotations.regions(), start=1)
        ],
    }  # fmt: skip


def write_youtube_vis(annotations: Annotations, video: Written) -> dict[str, Any]:
    """Return YouTube-VIS JSON: an annotation for each object, with a segmentation or null for each frame."""
    tracks: dict[int, dict[int, Region]] = defaultdict(dict)
    for frame, region in annotations.regions():
        tracks[region.object_id][frame] = region
    return {
        **_head(annotations, video, {"file_names": _files(annotations, video)}),
        "annotations": [
            _track(annotations, object_id, [tracks[object_id].get(frame) for frame in range(video.length)])
            for object_id in sorted(tracks)
        ],
    }


def encoded(runs: np.ndarray, size: Size) -> dict[str, Any]:
    """Return COCO's compressed run lengths, ready for JSON."""
    return {"size": list(size), "counts": compress(runs)}


def _head(annotations: Annotations, video: Written, names: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of both formats; the video's with its names."""
    height, width = annotations.size
    classes = annotations.class_ids().items()
    return {
        "info": {"description": f"{video.video}: tracked objects", "rate": video.rate},
        "categories": [{"id": index, "name": name, "supercategory": ""} for name, index in classes],
        "videos": [{"id": 1, **names, "height": height, "width": width, "length": video.length}],
    }


def _files(annotations: Annotations, video: Written) -> list[str]:
    """Return the name of each frame's image."""
    return [f"{video.video}/{annotations.stem(frame)}.jpg" for frame in range(video.length)]


def _track(annotations: Annotations, object_id: int, regions: Sequence[Region | None]) -> dict[str, Any]:
    size = annotations.size
    seen = [region if region is not None and region.area else None for region in regions]
    return {
        "id": object_id,
        "video_id": 1,
        "track_id": object_id,
        "iscrowd": 0,
        "score": mean_confidence([region for region in seen if region]),
        "height": size[0],
        "width": size[1],
        "segmentations": [region and encoded(region.runs, size) for region in seen],
        "bboxes": [region and box_of(region.runs, size) for region in seen],
        "areas": [region and region.area for region in seen],
        "category_id": annotations.class_ids()[annotations.class_name(object_id)],
    }


def _class_names(tree: Any) -> dict[Any, str]:
    return {record["id"]: str(record.get("name", "")) for record in tree.get("categories") or ()}


def _key(record: dict[str, Any]) -> Hashable:
    """Return the stored object of an annotation; None if unset."""
    for holder in (record, record.get("attributes") or {}):
        for key in KEYS:
            found = holder.get(key)
            if isinstance(found, int | str) and not isinstance(found, bool):
                return found
    return None


def _runs(segmentation: Any, size: Size) -> np.ndarray:
    """Return the run lengths of polygons, a list of counts, or compressed text."""
    if isinstance(segmentation, list):
        return runs_of_polygons(segmentation, size)
    if isinstance(segmentation, dict) and segmentation.get("size") == list(size):
        return require_runs(segmentation.get("counts"), size)
    raise ContentError(
        f"a segmentation is {str(segmentation)[:60]!r}; expected polygons or run lengths of {size[1]}×{size[0]}"
    )


def _video(videos: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the only video, or the one of this name or whose images are in a folder of this name."""
    if len(videos) == 1:
        return videos[0]
    for video in videos:
        first = str(next(iter(video.get("file_names") or ()), ""))
        if name in (stem_of(str(video.get("name", ""))), first.rpartition("/")[0].rpartition("/")[2]):
            return video
    raise ContentError(f"holds {len(videos)} videos, none called {name}; rename one or split the file")
