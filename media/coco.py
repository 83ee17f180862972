"""COCO JSON with object ids in ``track_id``: https://cocodataset.org/#format-data."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from aotlab.media.regions import (
    Annotations,
    ParsedRegion,
    Size,
    VideoInfo,
    compress_runs,
    fill_polygons,
    image_stem,
    number_frames,
    parse_runs,
    require_size,
    runs_to_box,
)
from aotlab.utils.errors import InputError

OBJECT_KEYS = ("track_id", "instance_id", "object_id")
"""fields in which exporters store the object of an annotation, also within "attributes" """


def parse_coco(tree: Any, video: VideoInfo) -> list[ParsedRegion]:
    """Return the objects of a video in COCO JSON; raises `InputError` for another size, or without the video."""
    images, videos = tree["images"], tree.get("videos") or []
    if len(videos) > 1:
        video_id = find_coco_video(videos, video.name)["id"]
        images = [image for image in images if image.get("video_id", video_id) == video_id]
    for image in images:
        require_size(image["height"], image["width"], video.size)
    names = [str(image.get("file_name", "")) for image in images]
    stated = [image.get("frame_id", image.get("frame_index")) for image in images]
    frames = stated if all(type(frame) is int for frame in stated) else number_frames(names)
    places = {image["id"]: place for image, *place in zip(images, frames, names, strict=True)}
    class_names = {record["id"]: str(record.get("name", "")) for record in tree.get("categories") or ()}
    regions = []
    for record in tree["annotations"]:
        if record["image_id"] in places and record.get("segmentation"):
            frame, name = places[record["image_id"]]
            runs = _parse_segmentation(record["segmentation"], video.size)
            class_name = class_names.get(record.get("category_id"), "")
            regions.append(ParsedRegion(frame, runs, class_name, _find_key(record), name))
    return regions


def format_coco(annotations: Annotations, video: VideoInfo) -> dict[str, Any]:
    """Return COCO JSON: an image for each frame, an annotation with ``track_id`` for each object on it.

    ``score`` is the tracker's confidence; ``lost`` is true while the object is presumed out of sight.
    """
    height, width = annotations.size
    classes = annotations.class_ids()
    length = max(annotations.frames, default=-1) + 1 if video.length is None else video.length
    files = [f"{video.name}/{annotations.stem(frame)}.jpg" for frame in range(length)]
    return {
        "info": {"description": f"{video.name}: tracked objects", "rate": video.rate},
        "categories": [{"id": index, "name": name, "supercategory": ""} for name, index in classes.items()],
        "videos": [{"id": 1, "name": video.name, "height": height, "width": width, "length": length}],
        "images": [
            {"id": frame + 1, "video_id": 1, "frame_id": frame, "file_name": file, "height": height, "width": width}
            for frame, file in enumerate(files)
        ],
        "annotations": [
            {
                "id": count,
                "image_id": frame + 1,
                "track_id": region.object_id,
                "segmentation": {"size": list(annotations.size), "counts": compress_runs(region.runs)},
                "area": region.area,
                "bbox": runs_to_box(region.runs, annotations.size),
                "iscrowd": 0,
                "score": round(region.confidence, 4),
                "lost": region.lost,
                "attributes": {"track_id": region.object_id},  # for CVAT and datumaro
                "category_id": classes[annotations.class_name(region.object_id)],
            }
            for count, (frame, region) in enumerate(annotations.regions(), start=1)
        ],
    }  # fmt: skip


def find_coco_video(videos: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the only video, or the one of this name or whose images are in a folder of this name."""
    if len(videos) == 1:
        return videos[0]
    for video in videos:
        first = str(next(iter(video.get("file_names") or ()), ""))
        if name in (image_stem(str(video.get("name", ""))), first.rpartition("/")[0].rpartition("/")[2]):
            return video
    raise InputError(f"holds {len(videos)} videos, none called {name}; rename one or split the file")


def _find_key(record: dict[str, Any]) -> Hashable:
    """Return the stored object of an annotation; None if unset."""
    for holder in (record, record.get("attributes") or {}):
        for key in OBJECT_KEYS:
            value = holder.get(key)
            if isinstance(value, int | str) and not isinstance(value, bool):
                return value
    return None


def _parse_segmentation(segmentation: Any, size: Size) -> np.ndarray:
    """Return the run lengths of polygons, a list of counts, or compressed text."""
    if isinstance(segmentation, list):
        return fill_polygons(segmentation, size)
    if isinstance(segmentation, dict) and segmentation.get("size") == list(size):
        return parse_runs(segmentation.get("counts"), size)
    raise InputError(
        f"a segmentation is {str(segmentation)[:60]!r}; expected polygons or run lengths of {size[1]}×{size[0]}"
    )
