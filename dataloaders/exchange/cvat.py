"""CVAT's XML 1.1, for video and for images: https://docs.cvat.ai/docs/manual/advanced/xml_format."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from aotlab.dataloaders.exchange.coco import DEFAULT_LABEL, box_of
from aotlab.dataloaders.exchange.objects import Found, Target, annotate, stem_of
from aotlab.dataloaders.exchange.regions import (
    Annotations,
    Region,
    Size,
    pixels,
    require_size,
    runs_of,
    runs_of_polygons,
)
from aotlab.dataloaders.exchange.safe_files import numbers, whole
from aotlab.utils.errors import InputError

AREAS = ("polygon", "mask")
"""shapes that say which pixels are an object's"""


def read_cvat(root: Element, target: Target, name: str) -> Annotations:
    """Objects of the annotated frames: of a track its key frames, as what lies between them CVAT interpolated.

    A track of polygons is an object. Masks, which CVAT writes as tracks of one frame, belong together by group, else by
    label.

    Raises:
        InputError: another size, a shape that cannot be drawn, or no shape that says which pixels are an object's.
    """
    stated = root.find(".//original_size")
    if stated is not None:
        sides = [whole(stated.findtext(side), name) for side in ("height", "width")]
        target.require_same(require_size(*sides, name), name)
    found = [*_of_tracks(root, target.size, name), *_of_images(root, target, name)]
    if not found:
        others = sorted(
            {shape.tag for shape in root.iter() if shape.tag in ("box", "polyline", "points", "ellipse")}
        )
        holds = f"only shapes of kind {', '.join(others)}" if others else "no shape"
        raise InputError(f"{name}: holds {holds}; draw the objects as masks or polygons")
    result = annotate(found, target.size, name)
    result.stems = {
        whole(image.get("id"), name): stem_of(image.get("name", "")) for image in root.iter("image")
    }
    return result


def write_cvat(annotations: Annotations, video: str, *, length: int) -> bytes:
    """CVAT for video 1.1 of a tracked video: a mask an object and frame.

    CVAT has no tracks of masks, so each is a track of one frame, as in its own exports; masks of one object share a
    ``group_id``, the object's id.

    Args:
        annotations: the objects; those without pixels on a frame are left out of it.
        video: the task's name.
        length: number of frames.
    """
    height, width = annotations.size
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    task = SubElement(SubElement(root, "meta"), "task")
    texts = {
        "name": video,
        "size": length,
        "mode": "interpolation",
        "start_frame": 0,
        "stop_frame": length - 1,
    }
    for tag, text in texts.items():
        SubElement(task, tag).text = str(text)
    labels = SubElement(task, "labels")
    names = {number: annotations.labels.get(number, DEFAULT_LABEL) for number in annotations.objects()}
    for label in sorted(set(names.values())):
        entry = SubElement(labels, "label")
        SubElement(entry, "name").text = label
        SubElement(entry, "type").text = "mask"
        SubElement(entry, "attributes")
    size = SubElement(task, "original_size")
    SubElement(size, "width").text, SubElement(size, "height").text = str(width), str(height)
    count = 0
    for frame in sorted(annotations.frames):
        for region in annotations.frames[frame]:
            if region.runs[1::2].any():
                label = names[region.object_id]
                attributes = {"id": count, "label": label, "source": "auto", "group_id": region.object_id}
                track = SubElement(root, "track", {key: str(value) for key, value in attributes.items()})
                _add_mask(track, frame, region, annotations.size, last=frame == length - 1)
                count += 1
    indent(root)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="utf-8") + b"\n"


def _add_mask(track: Element, frame: int, region: Region, size: Size, *, last: bool) -> None:
    """The mask of one frame, and CVAT's sign that its track ends there."""
    left, top, width, height = (int(value) for value in box_of(region.runs, size))
    inside = pixels(region.runs, size)[top : top + height, left : left + width]
    shape = {
        "rle": ", ".join(str(count) for count in runs_of(inside.T)),  # row by row
        "left": left, "top": top, "width": width, "height": height,
    }  # fmt: skip
    for number, outside in ((frame, 0), (frame + 1, 1)):
        if not (outside and last):
            state = {"frame": number, "keyframe": 1, "outside": outside, "occluded": 0, **shape, "z_order": 0}
            SubElement(track, "mask", {key: str(value) for key, value in state.items()})


def _of_tracks(root: Element, size: Size, name: str) -> Iterator[Found]:
    for index, track in enumerate(root.iter("track")):
        shapes = [
            shape
            for shape in track
            if shape.tag in AREAS and shape.get("outside") != "1" and shape.get("keyframe", "1") == "1"
        ]
        number = whole(track.get("id", str(index)), name)
        key: Hashable = ("track", number)
        if len(shapes) == 1 and shapes[0].tag == "mask":
            key = whole(track.get("group_id", "0"), name) or None
        for shape in shapes:
            frame = whole(shape.get("frame"), name)
            yield Found(_frame(frame, name), _runs(shape, size, name), track.get("label", ""), key)


def _of_images(root: Element, target: Target, name: str) -> Iterator[Found]:
    """Shapes of CVAT for images, lowest ``z_order`` first."""
    for image in root.iter("image"):
        sides = [whole(image.get(side), name) for side in ("height", "width")]
        target.require_same(require_size(*sides, name), f"{name}, picture {image.get('name', '')!r}")
        shapes = [shape for shape in image if shape.tag in AREAS]
        for shape in sorted(shapes, key=lambda shape: whole(shape.get("z_order", "0"), name)):
            key = whole(shape.get("group_id", "0"), name) or None
            frame = _frame(whole(image.get("id"), name), name)
            yield Found(frame, _runs(shape, target.size, name), shape.get("label", ""), key)


def _runs(shape: Element, size: Size, name: str) -> np.ndarray:
    """The pixels of a polygon or mask."""
    if shape.tag == "polygon":
        return runs_of_polygons([numbers(shape.get("points"), name)], size, name)
    left, top, width, height = (whole(shape.get(key), name) for key in ("left", "top", "width", "height"))
    if not (0 <= left < left + width <= size[1] and 0 <= top < top + height <= size[0]):
        raise InputError(
            f"{name}: a mask of {width}×{height} at {left}, {top} does not lie in a picture of {size[1]}×{size[0]}"
        )
    counts = numbers(shape.get("rle"), name)
    if any(count < 0 for count in counts) or sum(counts) != width * height:
        raise InputError(f"{name}: the run lengths of a mask do not fill its {width}×{height} pixels")
    whole_picture = np.zeros(size, dtype=bool)
    inside = np.repeat(np.arange(len(counts)) % 2 == 1, np.array(counts, dtype=np.int64))
    whole_picture[top : top + height, left : left + width] = inside.reshape(height, width)
    return runs_of(whole_picture)


def _frame(number: int, name: str) -> int:
    if number < 0:
        raise InputError(f"{name}: a shape on frame {number}; expected frames from 0")
    return number
