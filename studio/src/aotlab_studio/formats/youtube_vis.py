"""YouTube-VIS JSON, COCO with an annotation for each track: https://youtube-vos.org/dataset/vis."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from aotlab import sdk
from aotlab_studio.files import write_json
from aotlab_studio.formats.geometry import ParsedFile, average_confidence


def parse_youtube_vis(tree: Any, video: sdk.VideoInfo) -> ParsedFile:
    """Return the objects of one video."""
    lengths = {stored["id"]: len(stored.get("file_names") or ()) for stored in tree["videos"]}
    annotations = []
    for index, record in enumerate(tree["annotations"]):
        video_id, segmentations = record["video_id"], record["segmentations"]
        lengths[video_id] = max(lengths.get(video_id, 0), len(segmentations))
        # the object id is used without a track id
        attributes = {"object_id": f"annotation {index}", **(record.get("attributes") or {})}
        annotations += [
            {**record, "attributes": attributes, "image_id": (video_id, frame), "segmentation": segmentation}
            for frame, segmentation in enumerate(segmentations)
        ]
    images = []
    for stored in tree["videos"]:
        names = stored.get("file_names") or [""] * lengths[stored["id"]]
        # of all frames, the order counts; some may be left out
        whole = not any(names) or (video.length is not None and len(names) >= video.length)
        images += [
            {
                "id": (stored["id"], place), "video_id": stored["id"], "frame_id": place if whole else None,
                "file_name": names[place], "height": stored["height"], "width": stored["width"],
            }
            for place in range(lengths[stored["id"]])
        ]  # fmt: skip
    regions = sdk.parse_coco({**tree, "images": images, "annotations": annotations}, video)
    return ParsedFile(regions, sdk.parse_classes(tree))


def format_youtube_vis(annotations: sdk.Annotations, video: sdk.VideoInfo) -> dict[str, Any]:
    """Return an annotation for each object, with a segmentation or null for each annotated frame.

    Frames that are not annotated are left out of ``file_names``.
    """
    coco = sdk.format_coco(annotations, video)
    (stored,), frames = coco["videos"], sorted(annotations.frames)
    tracks: dict[int, dict[int, tuple[dict[str, Any], sdk.Region]]] = defaultdict(dict)
    for record, (frame, region) in zip(coco["annotations"], annotations.regions(), strict=True):
        tracks[region.object_id][frame] = record, region

    def list_values(object_id: int, field: str) -> list[Any]:
        records = [tracks[object_id].get(frame, ({"area": 0}, None))[0] for frame in frames]
        return [record[field] if record["area"] else None for record in records]

    names = [image["file_name"] for image in coco["images"]]
    size = {key: stored[key] for key in ("height", "width")}
    tracked = [
        {
            "id": object_id, "video_id": 1, "track_id": object_id, "iscrowd": 0,
            "score": average_confidence([region for _, region in track.values() if region.area]), **size,
            "segmentations": list_values(object_id, "segmentation"), "bboxes": list_values(object_id, "bbox"),
            "areas": list_values(object_id, "area"), "category_id": next(iter(track.values()))[0]["category_id"],
        }
        for object_id, track in sorted(tracks.items())
    ]  # fmt: skip
    videos = [{"id": 1, "file_names": names, **size, "length": len(frames)}]
    return {"info": coco["info"], "categories": coco["categories"], "videos": videos, "annotations": tracked}


def _write(path: Path, annotations: sdk.Annotations, video: sdk.VideoInfo) -> None:
    write_json(path, format_youtube_vis(annotations, video))


YOUTUBE_VIS = sdk.MaskWriter("youtube_vis.json", "YouTube-VIS", _write)
