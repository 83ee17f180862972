"""YouTube-VIS JSON, COCO with an annotation for each track: https://youtube-vos.org/dataset/vis."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import replace
from statistics import fmean
from typing import Any

from pydantic import BaseModel, ConfigDict

import aotlab_video
from aotlab_studio.utils.files import write_json
from aotlab_video import Fields, Id, Items, Text

LISTS = {"segmentations": "segmentation", "bboxes": "bbox", "areas": "area"}
"""Fields of an annotation with a value for each frame, and the fields of COCO with these values."""


class Track(BaseModel):
    """An object with a segmentation or box for each image of its video."""

    model_config = ConfigDict(extra="allow")  # fields of COCO

    video_id: Id
    segmentations: list[Any]
    bboxes: Items[Any] = []
    attributes: Fields = {}


class Clip(BaseModel):
    """A video."""

    id: Id
    name: Text = ""
    file_names: list[Text]
    height: Any
    width: Any


class YouTubeVisFile(BaseModel):
    """The lists of a file; others are those of COCO."""

    videos: Items[Clip]
    annotations: Items[Track]


def parse_youtube_vis(tree: Any, video: aotlab_video.VideoInfo) -> aotlab_video.ParsedFile:
    """Return the objects and class ids of YouTube-VIS JSON, as of COCO with an annotation per frame of a track."""
    annotations, images, file = [], [], YouTubeVisFile.model_validate(tree)
    lengths = {clip.id: len(clip.file_names) for clip in file.videos}
    absent: dict[tuple[Hashable, int], list[dict[str, Any]]] = defaultdict(list)
    for index, track in enumerate(file.annotations):
        count = len(track.segmentations)
        if count != lengths.get(track.video_id, count):
            raise ValueError(f"annotation {index} has {count} segmentations for {lengths[track.video_id]} images")
        # the object id is used without a track id
        attributes = {"object_id": f"annotation {index}", **track.attributes}
        stored = {**(track.model_extra or {}), "attributes": attributes}
        for frame, segmentation in enumerate(track.segmentations):
            box = next(iter(track.bboxes[frame : frame + 1]), None)
            if segmentation is None and not box:
                absent[track.video_id, frame].append(stored)
            else:
                image_id = (track.video_id, frame)
                annotations.append({**stored, "image_id": image_id, "segmentation": segmentation, "bbox": box})
    for clip in file.videos:
        # a name for each frame: their order counts; some names may be left out
        is_complete = video.length is not None and len(clip.file_names) >= video.length
        images += [
            {
                "id": (clip.id, frame), "video_id": clip.id, "frame_id": frame if is_complete else None,
                "file_name": name, "height": clip.height, "width": clip.width, "absent": absent[clip.id, frame],
            }
            for frame, name in enumerate(clip.file_names)
        ]  # fmt: skip
    coco = {**tree, "images": images, "annotations": annotations}
    return replace(aotlab_video.parse_coco(coco, video), video="")


def format_youtube_vis(annotations: aotlab_video.Annotations, video: aotlab_video.VideoInfo) -> dict[str, Any]:
    """Return an annotation for each object, with a segmentation or null for each annotated frame.

    Frames that are not annotated are left out of ``file_names``.
    """
    coco = aotlab_video.format_coco(annotations, video)
    size = {"height": annotations.size[0], "width": annotations.size[1]}
    tracks: dict[int, dict[int, dict[str, Any]]] = defaultdict(dict)
    runs = {(frame + 1, region.object_id): region.rle.tolist() for frame, region in annotations.regions()}
    for record in coco["annotations"]:
        key = record["image_id"], record["track_id"]
        segmentation = {"size": [*annotations.size], "counts": runs[key]}  # TrackEval reads no compressed counts
        tracks[record["track_id"]][record["image_id"]] = record | {"segmentation": segmentation}
    tracked = []
    for object_id, records in sorted(tracks.items()):
        tracked.append({
            "id": object_id, "video_id": 1, "track_id": object_id, "iscrowd": 0, **size,
            "category_id": next(iter(records.values()))["category_id"],
            "score": round(fmean(record["score"] for record in records.values()), 4),
            **{
                name: [records.get(image["id"], {}).get(field) for image in coco["images"]]
                for name, field in LISTS.items()
            },
        })  # fmt: skip
    names = [image["file_name"] for image in coco["images"]]
    videos = [{"id": 1, "file_names": names, **size, "length": len(names)}]
    return {"info": coco["info"], "categories": coco["categories"], "videos": videos, "annotations": tracked}


YOUTUBE_VIS = aotlab_video.MaskWriter(
    "youtube_vis.json", "YouTube-VIS", lambda path, masks, video: write_json(path, format_youtube_vis(masks, video))
)
