"""COCO and YouTube-VIS JSON: https://cocodataset.org/#format-data, https://youtube-vos.org/dataset/vis."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from aotlab.masks.exchange.matching import Target, numbers_of, stem_of
from aotlab.masks.exchange.outlines import runs_of_polygons
from aotlab.masks.exchange.regions import (
    Annotations,
    Found,
    Region,
    Size,
    Written,
    box_of,
    compress,
    require_runs,
    require_size,
)
from aotlab.masks.exchange.safe_files import ContentError, id_of, records, value_of

KEYS = ("track_id", "instance_id", "object_id")
"""fields in which exporters name the object of an annotation, also within "attributes" """


def parse_coco(tree: Any, target: Target) -> list[Found]:
    """Return the objects on the images of one video in COCO JSON.

    Raises:
        ContentError: a field is missing or wrong, or several videos and none of the target's name.
    """
    images = _images(tree, target)
    for image in images:
        require_size(image.get("height"), image.get("width"), target.size)
    names = [str(image.get("file_name", "")) for image in images]
    frames = _stated_frames(images) or numbers_of(names)
    ids = [id_of(image, "id") for image in images]
    places = dict(zip(ids, zip(frames, names, strict=True), strict=True))
    labels, found = _labels(tree), []
    for record in records(tree, "annotations"):
        key, category = id_of(record, "image_id"), id_of(record, "category_id")
        if key is not None and key in places and record.get("segmentation"):
            (frame, name), runs = places[key], _runs(record["segmentation"], target.size)
            found.append(Found(frame, runs, labels.get(category, ""), _key(record), stem_of(name)))
    return found


def parse_youtube_vis(tree: Any, target: Target) -> list[Found]:
    """Return the objects of one video in YouTube-VIS JSON; errors as `parse_coco`."""
    video = _video(records(tree, "videos"), target.name)
    require_size(video.get("height"), video.get("width"), target.size)
    files = video.get("file_names")
    stems = [stem_of(str(file)) for file in files] if isinstance(files, list) else []
    labels, found = _labels(tree), []
    for number, record in enumerate(records(tree, "annotations"), start=1):
        if record.get("video_id") == video.get("id"):
            key, label = _key(record), labels.get(id_of(record, "category_id"), "")
            key = ("annotation", number) if key is None else key
            for frame, segmentation in enumerate(value_of(record, "segmentations", list)):
                if segmentation:
                    stem = stems[frame] if frame < len(stems) else ""
                    found.append(Found(frame, _runs(segmentation, target.size), label, key, stem))
    return found


def write_coco(annotations: Annotations, video: Written) -> dict[str, Any]:
    """Return COCO JSON: an image for each frame, an annotation with ``track_id`` for each object on it.

    ``score`` is the tracker's confidence; ``lost`` says whether the object is taken to be out of sight.
    """
    head, files = _head(annotations, video)
    height, width = annotations.size
    classes = annotations.classes()
    places = [(frame, region) for frame in sorted(annotations.frames) for region in annotations.frames[frame]]
    return {
        **head,
        "videos": [{"id": 1, "name": video.video, "height": height, "width": width, "length": video.length}],
        "images": [
            {"id": frame + 1, "video_id": 1, "frame_id": frame, "file_name": file, "height": height, "width": width}
            for frame, file in enumerate(files)
        ],
        "annotations": [
            {
                "id": number,
                "image_id": frame + 1,
                "track_id": region.object_id,
                "segmentation": encoded(region.runs, annotations.size),
                "area": int(region.runs[1::2].sum()),
                "bbox": box_of(region.runs, annotations.size),
                "iscrowd": 0,
                "score": round(region.confidence, 4),
                "lost": region.lost,
                "attributes": {"track_id": region.object_id},  # for CVAT and datumaro
                "category_id": classes[annotations.label(region.object_id)],
            }
            for number, (frame, region) in enumerate(places, start=1)
        ],
    }  # fmt: skip


def write_youtube_vis(annotations: Annotations, video: Written) -> dict[str, Any]:
    """Return YouTube-VIS JSON: an annotation for each object, with a segmentation or null for each frame."""
    head, files = _head(annotations, video)
    height, width = annotations.size
    tracks: dict[int, dict[int, Region]] = defaultdict(dict)
    for frame, regions in annotations.frames.items():
        for region in regions:
            tracks[region.object_id][frame] = region
    return {
        **head,
        "videos": [{"id": 1, "file_names": files, "height": height, "width": width, "length": video.length}],
        "annotations": [
            _track(annotations, number, [tracks[number].get(frame) for frame in range(video.length)])
            for number in sorted(tracks)
        ],
    }


def encoded(runs: np.ndarray, size: Size) -> dict[str, Any]:
    """Return COCO's compressed run lengths, ready for JSON."""
    return {"size": list(size), "counts": compress(runs)}


def _head(annotations: Annotations, video: Written) -> tuple[dict[str, Any], list[str]]:
    """Fields that both formats have, and the name of each frame's image."""
    classes = annotations.classes().items()
    head = {
        "info": {"description": f"{video.video}: tracked objects", "rate": video.rate},
        "categories": [{"id": index, "name": name, "supercategory": ""} for name, index in classes],
    }
    return head, [f"{video.video}/{annotations.stem(frame)}.jpg" for frame in range(video.length)]


def _track(annotations: Annotations, number: int, regions: Sequence[Region | None]) -> dict[str, Any]:
    size = annotations.size
    seen = [region if region is not None and region.runs[1::2].any() else None for region in regions]
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
        "category_id": annotations.classes()[annotations.label(number)],
    }


def _labels(tree: Any) -> dict[Any, str]:
    """Class names by category id."""
    categories = records(tree, "categories") if tree.get("categories") else []
    return {id_of(record, "id"): str(record.get("name", "")) for record in categories}


def _key(record: dict[str, Any]) -> Hashable:
    """The name of an annotation's object; None if unset."""
    attributes = record.get("attributes")
    for holder in (record, attributes if isinstance(attributes, dict) else {}):
        for key in KEYS:
            found = holder.get(key)
            if isinstance(found, int | str) and not isinstance(found, bool):
                return found
    return None


def _runs(segmentation: Any, size: Size) -> np.ndarray:
    """Run lengths of polygons, a list of counts, or compressed text."""
    if isinstance(segmentation, list):
        return runs_of_polygons(segmentation, size)
    if isinstance(segmentation, dict) and segmentation.get("size") in (list(size), tuple(size)):
        return require_runs(segmentation.get("counts"), size)
    raise ContentError(
        f"a segmentation is {str(segmentation)[:60]!r}; expected polygons or run lengths of {size[1]}×{size[0]}"
    )


def _stated_frames(images: Sequence[dict[str, Any]]) -> list[int]:
    """The frame numbers that the images state; empty unless all do."""
    stated = [image.get("frame_id", image.get("frame_index")) for image in images]
    frames = [
        frame for frame in stated if isinstance(frame, int) and not isinstance(frame, bool) and frame >= 0
    ]
    return frames if len(frames) == len(images) else []


def _images(tree: Any, target: Target) -> list[dict[str, Any]]:
    """The images of the wanted video; all of them unless the file lists several videos."""
    images, videos = records(tree, "images"), tree.get("videos")
    if not isinstance(videos, list) or len(videos) < 2:
        return images
    wanted = _video(records(tree, "videos"), target.name).get("id")
    return [image for image in images if image.get("video_id", wanted) == wanted]


def _video(videos: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """The only video, or the one of this name or whose images are in a folder of this name."""
    if len(videos) == 1:
        return videos[0]
    for video in videos:
        files = video.get("file_names")
        first = str(files[0]) if isinstance(files, list) and files else ""
        if name in (stem_of(str(video.get("name", ""))), first.rpartition("/")[0].rpartition("/")[2]):
            return video
    raise ContentError(f"holds {len(videos)} videos, none called {name}; rename one or split the file")
