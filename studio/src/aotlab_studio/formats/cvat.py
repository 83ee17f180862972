"""CVAT's XML 1.1, for video and for images: https://docs.cvat.ai/docs/manual/advanced/xml_format."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from aotlab.masks.exchange.matching import stem_of
from aotlab.masks.exchange.regions import (
    Annotations,
    Found,
    Size,
    Written,
    box_of,
    outlines_of,
    pixels,
    require_size,
    runs_of,
    runs_of_part,
    runs_of_polygons,
)
from aotlab.masks.exchange.safe_files import ContentError, numbers

AREAS = ("polygon", "mask")
"""shapes with pixels"""
OTHERS = ("box", "ellipse", "points", "polyline")
"""shapes without pixels"""

Shapes = dict[int, dict[str, object]]
"""attributes of one track's shape by frame"""


def parse_cvat(root: Element, size: Size) -> list[Found]:
    """Return the objects on annotated frames; only key frames of tracks, as CVAT interpolates the others.

    Shapes and tracks of one group are one object. Without a group a track is one object, except for masks, which CVAT
    writes as tracks of one frame: masks of one label are one object.

    Raises:
        ContentError: another size, a shape that cannot be drawn, or neither a polygon nor a mask.
    """
    stated = root.find(".//original_size")
    if stated is not None:
        height, width = (int(stated.findtext(side, "")) for side in ("height", "width"))
        require_size(height, width, size)
    found = [*_from_tracks(root, size), *_from_images(root, size)]
    if not found:
        others = [tag for tag in OTHERS if root.find(f".//{tag}") is not None]
        holds = f"only shapes of kind {', '.join(others)}" if others else "no shape"
        raise ContentError(f"holds {holds}; draw the objects as masks or polygons")
    return found


def write_cvat(annotations: Annotations, video: Written) -> bytes:
    """Return CVAT for video 1.1 with exact masks; ``group_id`` is the object id.

    CVAT has no tracks of masks: each mask is a track of one frame, as in its own exports.
    """
    return _document(annotations, video, "mask", _mask_tracks(annotations))


def write_cvat_polygons(annotations: Annotations, video: Written) -> bytes:
    """Return CVAT for video 1.1 with tracks of polygons, one for each part of an object; holes are filled."""
    return _document(annotations, video, "polygon", _polygon_tracks(annotations))


def _document(
    annotations: Annotations, video: Written, kind: str, tracks: Iterator[tuple[int, Shapes]]
) -> bytes:
    root, (height, width) = Element("annotations"), annotations.size
    labels = [{"name": label, "type": kind, "attributes": ""} for label in annotations.class_ids()]
    task = {
        "name": video.video,
        "size": video.length,
        "mode": "interpolation",
        "start_frame": 0,
        "stop_frame": video.length - 1,
        "labels": {"label": labels},
        "original_size": {"width": width, "height": height},
    }
    _add(root, {"version": "1.1", "meta": {"task": task}})
    for count, (object_id, shapes) in enumerate(tracks):
        class_name = annotations.class_name(object_id)
        attributes = {"id": count, "label": class_name, "source": "auto", "group_id": object_id}
        track = SubElement(root, "track", {key: str(value) for key, value in attributes.items()})
        for frame, shape in sorted(shapes.items()):
            ends = frame + 1 not in shapes and frame + 1 < video.length
            for outside in range(1 + ends):  # a shape that is outside ends the track
                state = {"frame": frame + outside, "keyframe": 1, "outside": outside, "occluded": 0}
                texts = {key: str(value) for key, value in [*state.items(), *shape.items(), ("z_order", 0)]}
                SubElement(track, kind, texts)
    indent(root)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="utf-8") + b"\n"


def _polygon_tracks(annotations: Annotations) -> Iterator[tuple[int, Shapes]]:
    """Yield object ids and their polygons: a track of the largest parts, one of the second largest, and so on."""
    parts: dict[tuple[int, int], Shapes] = defaultdict(dict)
    ranks: Counter[tuple[int, int]] = Counter()
    for frame, region in annotations.regions():
        for outline in outlines_of(pixels(region.runs, annotations.size)):
            if len(outline) > 4:
                points = [f"{x:.2f},{y:.2f}" for x, y in zip(outline[::2], outline[1::2], strict=True)]
                rank = ranks[region.object_id, frame]
                parts[region.object_id, rank][frame] = {"points": ";".join(points)}
                ranks[region.object_id, frame] += 1
    return ((object_id, parts[object_id, rank]) for object_id, rank in sorted(parts))


def _mask_tracks(annotations: Annotations) -> Iterator[tuple[int, Shapes]]:
    """Yield object ids and the mask of one frame each."""
    for frame, region in annotations.regions():
        if region.area:
            left, top, width, height = (int(value) for value in box_of(region.runs, annotations.size))
            inside = pixels(region.runs, annotations.size)[top : top + height, left : left + width]
            counts = ", ".join(str(count) for count in runs_of(inside.T))  # row by row
            box = {"left": left, "top": top, "width": width, "height": height}
            yield region.object_id, {frame: {"rle": counts, **box}}


def _add(parent: Element, content: Mapping[str, Any]) -> None:
    """Add an element for each tag, with text or further elements; several for a list."""
    for tag, value in content.items():
        for one in value if isinstance(value, list) else [value]:
            element = SubElement(parent, tag)
            if isinstance(one, dict):
                _add(element, one)
            elif one != "":
                element.text = str(one)


def _from_tracks(root: Element, size: Size) -> Iterator[Found]:
    for index, track in enumerate(root.iter("track")):
        shapes = [
            shape
            for shape in track
            if shape.tag in AREAS and shape.get("outside") != "1" and shape.get("keyframe", "1") == "1"
        ]
        key: Hashable = int(track.get("group_id", 0)) or None
        if key is None and not (len(shapes) == 1 and shapes[0].tag == "mask"):
            key = ("track", track.get("id", index))
        for shape in shapes:
            yield Found(int(shape.attrib["frame"]), _runs(shape, size), track.get("label", ""), key)


def _from_images(root: Element, size: Size) -> Iterator[Found]:
    """Yield the shapes of CVAT for images, lowest ``z_order`` first."""
    for image in root.iter("image"):
        require_size(int(image.attrib["height"]), int(image.attrib["width"]), size)
        frame, stem = int(image.attrib["id"]), stem_of(image.get("name", ""))
        shapes = [shape for shape in image if shape.tag in AREAS]
        for shape in sorted(shapes, key=lambda shape: int(shape.get("z_order", 0))):
            key = int(shape.get("group_id", 0)) or None
            yield Found(frame, _runs(shape, size), shape.get("label", ""), key, stem)


def _runs(shape: Element, size: Size) -> np.ndarray:
    if shape.tag == "polygon":
        return runs_of_polygons([numbers(shape.attrib["points"])], size)
    left, top, width, height = (int(shape.attrib[key]) for key in ("left", "top", "width", "height"))
    counts = numbers(shape.attrib["rle"])
    if (
        not (0 < width <= size[1] and 0 < height <= size[0])
        or any(count < 0 or count % 1 for count in counts)
        or sum(counts) != width * height
    ):
        raise ContentError(f"the run lengths of a mask do not fill its {width}×{height} pixels")
    inside = np.repeat(np.arange(len(counts)) % 2 == 1, np.array(counts, dtype=np.int64))
    return runs_of_part(inside.reshape(height, width), left, top, size)
