"""CVAT's XML 1.1, for video and for images: https://docs.cvat.ai/docs/manual/advanced/xml_format."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NamedTuple
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
from pydantic import BaseModel, BeforeValidator, NonNegativeInt

import aotlab_video
from aotlab import sdk
from aotlab.utils.files import write_bytes
from aotlab_studio import formats
from aotlab_studio.document.exports import find_schema
from aotlab_studio.formats import Size
from aotlab_video import Number

NO_SHAPES = ("attribute", "tag")
"""Elements of tracks and images that are not shapes."""
TYPED_TEXT = r"true|false|0|-?[1-9][0-9]{0,17}"
"""Text of a boolean or an integer, which other programs may write as text."""


class Group(BaseModel):
    """Attributes of a track or shape that state its object."""

    label: str = ""
    group_id: int = 0


class Layer(BaseModel):
    """Attributes of a shape that state what it covers."""

    z_order: int = 0


class KeyFrame(BaseModel):
    """Attributes of a shape of a track."""

    frame: int


class Image(BaseModel):
    """Attributes of an image."""

    id: int
    name: str = ""
    height: int
    width: int


class Mask(BaseModel):
    """Attributes of a mask; its runs go row by row."""

    left: int
    top: int
    width: int
    height: int
    rle: Annotated[list[NonNegativeInt], BeforeValidator(lambda text: text.split(","))]


class Box(BaseModel):
    """Attributes of a box."""

    rotation: Number = 0
    xtl: Number
    ytl: Number
    xbr: Number
    ybr: Number


class Polygon(BaseModel):
    """Attributes of a polygon."""

    points: Annotated[list[Number], BeforeValidator(formats.split_numbers)]


def parse_cvat(root: Element, video: aotlab_video.VideoInfo) -> aotlab_video.ParsedFile:
    """Return the objects on annotated frames. Of tracks, only key frames count, as CVAT interpolates the others.

    Shapes and tracks of one label and group are one object. Without a group, each track is an object; but CVAT writes
    shapes as tracks of one frame, so those of one label are one object. Class ids count the labels from 1.
    """
    size = video.size
    _select_task(root, video.name)
    original_size = root.find(".//original_size")
    if original_size is not None:
        height, width = (original_size.findtext(side, "").strip() for side in ("height", "width"))
        aotlab_video.require_size(height, width, size)
    parser, source = aotlab_video.RegionParser(size), _read_source(root)
    _parse_tracks(root, source, parser)
    _parse_images(root, source, parser)
    labels = dict.fromkeys(label.findtext("name", "") for label in root.iterfind(".//labels/label"))
    classes = {name: class_id for class_id, name in enumerate(filter(None, labels), start=1)}
    file = root.findtext(".//meta//source")  # of a task, or of a job
    name = PurePosixPath(file or "").stem
    if not name and source.is_own:
        name = root.findtext(".//meta/task/name", "")
    counts_from_zero = source.is_own or root.find("image") is None  # ids of images count images
    return parser.finish(classes, name, counts_from_zero=counts_from_zero)


def _select_task(root: Element, video: str) -> None:
    """Remove the tasks of other videos, with their tracks and images, from the export of a project."""
    tasks = root.find(".//meta/project/tasks")
    if tasks is None or len(tasks) < 2:
        return
    names = {
        task.findtext("id", ""): [task.findtext("name", ""), PurePosixPath(task.findtext("source", "")).name]
        for task in tasks
    }
    selected = aotlab_video.select_video(names, video)
    for parent, element in [*((root, element) for element in root), *((tasks, task) for task in tasks)]:
        if element.get("task_id", element.findtext("id") or selected) != selected:
            parent.remove(element)


class _Source(NamedTuple):
    """Facts about a whole file."""

    is_own: bool
    """Whether aotlab wrote it: CVAT's tasks have ids."""
    step: int
    """Number of frames from one of the task to the next."""
    last_frames: set[str]
    """Numbers of the last frame, as different exports of CVAT state it."""


def _read_source(root: Element) -> _Source:
    task, step = root.find("meta/task"), re.search(r"step=(\d+)", root.findtext("meta//frame_filter") or "")
    size = root.findtext("meta//size", "")
    last = {root.findtext("meta//stop_frame", ""), str(int(size) - 1) if size.isdecimal() else ""}
    return _Source(task is not None and task.find("id") is None, int(step[1] if step else 1), last)


def _find_group(element: Element, source: _Source) -> Hashable:
    """Return the key of the group of a track or shape; None without a group."""
    group = Group.model_validate(element.attrib)
    if not group.group_id or source.is_own:
        return group.group_id or None
    return aotlab_video.GroupKey(group.label, group.group_id)


def _is_shape(track: Element, source: _Source) -> bool:
    """Return whether a track has one frame, like a shape: it ends on the next frame, or the video does."""
    visible = [shape for shape in track if shape.tag not in NO_SHAPES and shape.get("outside") != "1"]
    if len(visible) != 1:
        return False
    frame = _read_frame(visible[0])
    following = {_read_frame(shape) for shape in track if shape.get("outside") == "1"}
    return visible[0].tag == "mask" or str(frame) in source.last_frames or frame + source.step in following


def _read_frame(shape: Element) -> int:
    return KeyFrame.model_validate(shape.attrib).frame


def format_cvat(annotations: aotlab_video.Annotations, video: aotlab_video.VideoInfo, kind: str) -> bytes:
    """Return CVAT 1.1; ``group_id`` is the object id.

    Args:
        kind: "mask": CVAT for images with exact masks, of which CVAT has no tracks; "polygon": CVAT for video with a
            track for each part of an object, whose holes are filled.
    """
    root, (height, width), length = Element("annotations"), annotations.size, video.length or 0
    task = {
        "name": video.name, "size": length, "mode": "annotation" if kind == "mask" else "interpolation",
        "start_frame": 0, "stop_frame": length - 1, "labels": {"label": _describe_labels(annotations, kind)},
        "original_size": {"width": width, "height": height},
    }  # fmt: skip
    _add_elements(root, {"version": "1.1", "meta": {"task": task}})
    if kind == "mask":
        _add_images(root, annotations, video)
    else:
        _add_tracks(root, annotations, length)
    indent(root)
    text = tostring(root, encoding="unicode")
    return formats.encode_xml(f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n')


def _add_images(root: Element, annotations: aotlab_video.Annotations, video: aotlab_video.VideoInfo) -> None:
    """Add an image for each frame, with a mask for each object."""
    height, width = annotations.size
    for frame in sorted(annotations.frames):
        name = PurePosixPath(video.image_name(frame, annotations.frame_name(frame))).name
        image = _add(root, "image", {"id": frame, "name": name, "width": width, "height": height})
        for region in annotations.frames[frame]:
            if region.area:
                mask = sdk.decode_rle(region.rle, annotations.size)
                rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
                part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                counts = ", ".join(str(count) for count in sdk.encode_rle(part.T))  # row by row
                box = {"left": columns[0], "top": rows[0], "width": part.shape[1], "height": part.shape[0]}
                label = {"label": annotations.class_name(region.object_id), "source": "auto", "occluded": 0}
                shape = {**label, "rle": counts, **box, "z_order": 0, "group_id": region.object_id}
                _add_attributes(_add(image, "mask", shape), region.attributes)


def _add_tracks(root: Element, annotations: aotlab_video.Annotations, length: int) -> None:
    """Add tracks of polygons. The first track of an object has the largest part on each frame."""
    parts: dict[tuple[int, int], dict[int, tuple[str, Mapping[str, object]]]] = defaultdict(dict)
    for frame, region in annotations.regions():
        outlines = formats.trace_outlines(sdk.decode_rle(region.rle, annotations.size))
        for rank, outline in enumerate(outlines):
            points = ";".join(f"{x:.2f},{y:.2f}" for x, y in outline)
            parts[region.object_id, rank][frame] = points, region.attributes
    for count, ((object_id, _), shapes) in enumerate(sorted(parts.items())):
        label = annotations.class_name(object_id)
        track = _add(root, "track", {"id": count, "label": label, "source": "auto", "group_id": object_id})
        for frame, (points, values) in sorted(shapes.items()):
            ends = frame + 1 not in shapes and frame + 1 < length
            for outside in range(1 + ends):  # a shape that is outside ends the track
                state = {"frame": frame + outside, "keyframe": 1, "outside": outside, "occluded": 0}
                _add_attributes(_add(track, "polygon", {**state, "points": points, "z_order": 0}), values)
        first, *others = (values.items() for _, values in shapes.values())
        _add_attributes(track, dict(sorted(set(first).intersection(*others))))


def _describe_labels(annotations: aotlab_video.Annotations, kind: str) -> list[dict[str, Any]]:
    """Return the classes of the schema and the objects. Attributes are checkboxes or text; CVAT ignores keys."""
    checkboxes: dict[str, dict[str, bool]] = {name: {} for name in annotations.class_ids()}
    for _, region in annotations.regions():
        is_checkbox = checkboxes[annotations.class_name(region.object_id)]
        for name, value in region.attributes.items():
            is_checkbox[name] = is_checkbox.get(name, True) and isinstance(value, bool)
    labels = []
    for rule in find_schema(annotations).list_classes(checkboxes):
        attributes = [
            {
                "name": name, "input_type": "checkbox" if is_boolean else "text", "mutable": True,
                "values": "false\ntrue" if is_boolean else "", "default_value": "false" if is_boolean else "",
            }
            for name, is_boolean in checkboxes.get(rule.name, {}).items()
        ]  # fmt: skip
        texts = {key: text for key, text in (("color", rule.color), ("key", rule.key)) if text}
        labels.append({"name": rule.name, **texts, "type": kind, "attributes": {"attribute": attributes}})
    return labels


def _add(parent: Element, tag: str, attributes: Mapping[str, object]) -> Element:
    """Add an element with attributes as text."""
    return SubElement(parent, tag, {name: str(value) for name, value in attributes.items()})


def _add_attributes(parent: Element, values: Mapping[str, object]) -> None:
    """Add attributes to a shape or a track; CVAT reads attributes that are not mutable from the track."""
    for name, value in values.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        SubElement(parent, "attribute", name=name).text = text


def _parse_attributes(parent: Element) -> dict[str, str | bool | int]:
    """Return the attributes of a track or shape, text that is a boolean or an integer as such."""
    values = ((attribute.get("name", ""), attribute.text or "") for attribute in parent.iterfind("attribute"))
    return {name: json.loads(text) if re.fullmatch(TYPED_TEXT, text) else text for name, text in values}


def _add_elements(parent: Element, content: Mapping[str, Any]) -> None:
    """Add an element for each tag, with text or further elements; several for a list."""
    for tag, value in content.items():
        for item in value if isinstance(value, list) else [value]:
            element = SubElement(parent, tag)
            if isinstance(item, dict):
                _add_elements(element, item)
            elif item != "":
                element.text = str(item)


def _parse_tracks(root: Element, source: _Source, parser: aotlab_video.RegionParser) -> None:
    """Add the shapes of tracks, lowest ``z_order`` first."""
    shapes_of_tracks = []
    for index, track in enumerate(root.iter("track")):
        place = f"track {track.get('id', index)}"
        shapes = [shape for shape in track if shape.tag not in NO_SHAPES and shape.get("keyframe", "1") == "1"]
        visible = [shape for shape in shapes if shape.get("outside") != "1"]
        with parser.locate(place):
            key, is_shape = _find_group(track, source), _is_shape(track, source)
        if not is_shape:
            key = key or ("track", track.get("id", index))
        region = aotlab_video.ParsedRegion(None, None, track.get("label", ""), key, attributes=_parse_attributes(track))
        # tracks of masks, shapes, and all of aotlab, end after each shape although the object may be on the next frame
        is_stated = not (is_shape or source.is_own) and {shape.tag for shape in visible} in ({"polygon"}, {"box"})
        shapes_of_tracks += [(shape, region, place) for shape in (shapes if is_stated else visible)]
    for shape, region, place in sorted(shapes_of_tracks, key=lambda item: _parse_z_order(item[0], parser)):
        with parser.skip_unreadable(f"frame {shape.get('frame')}, {place}"):
            attributes = {**region.attributes, **_parse_attributes(shape)}
            region = replace(region, frame=_read_frame(shape), attributes=attributes)
            if shape.get("outside") == "1":
                parser.add_absent(replace(region, rle=sdk.encode_rle(np.zeros(parser.size, bool))))
            else:
                _add_shape(shape, region, parser)


def _parse_images(root: Element, source: _Source, parser: aotlab_video.RegionParser) -> None:
    """Add the shapes of CVAT for images, lowest ``z_order`` first."""
    images = [(Image.model_validate(element.attrib), element) for element in root.iter("image")]
    aotlab_video.require_different_images([image.name or str(image.id) for image, _ in images])
    for image, element in images:
        frame, name, place = image.id, image.name, f"image {image.name or image.id}"
        with parser.locate(place):
            aotlab_video.require_size(image.height, image.width, parser.size)
        shapes = [shape for shape in element if shape.tag not in NO_SHAPES]
        if not shapes:
            parser.add_absent(aotlab_video.ParsedRegion(frame, None, image=name))
        numbered = sorted(enumerate(shapes, start=1), key=lambda item: _parse_z_order(item[1], parser))
        for count, shape in numbered:
            with parser.skip_unreadable(f"{place}, shape {count}"):
                key, attributes = _find_group(shape, source), _parse_attributes(shape)
                region = aotlab_video.ParsedRegion(frame, None, shape.get("label", ""), key, name, attributes)
                _add_shape(shape, region, parser)


def _parse_z_order(shape: Element, parser: aotlab_video.RegionParser) -> int:
    with parser.locate(f"{shape.tag} on frame {shape.get('frame', '?')}"):
        return Layer.model_validate(shape.attrib).z_order


def _add_shape(shape: Element, region: aotlab_video.ParsedRegion, parser: aotlab_video.RegionParser) -> None:
    """Add a region with the mask or box of a shape."""
    if shape.tag == "polygon":
        parser.add(replace(region, rle=parser.fill([Polygon.model_validate(shape.attrib).points])))
    elif shape.tag == "mask":
        parser.add(replace(region, rle=_place_mask(Mask.model_validate(shape.attrib), parser.size)))
    elif shape.tag == "box" and not (box := Box.model_validate(shape.attrib)).rotation:
        parser.add(replace(region, box=(box.xtl, box.ytl, box.xbr - box.xtl, box.ybr - box.ytl)))
    else:
        parser.leave_out("shape", f"of kind {'rotated ' * (shape.tag == 'box')}{shape.tag}")


def _place_mask(mask: Mask, size: Size) -> np.ndarray:
    fits = 0 < mask.width <= size[1] and 0 < mask.height <= size[0]
    if not fits or sum(mask.rle) != mask.width * mask.height:
        raise ValueError(f"its run lengths do not fill its {mask.width}×{mask.height} pixels")
    inside = np.repeat(np.arange(len(mask.rle)) % 2 == 1, mask.rle)
    return formats.place_mask(inside.reshape(mask.height, mask.width), mask.left, mask.top, size)


def _write_cvat(
    path: Path, masks: aotlab_video.Annotations, video: aotlab_video.VideoInfo, *, polygons: bool = False
) -> None:
    write_bytes(path, format_cvat(masks, video, "polygon" if polygons else "mask"))


CVAT = aotlab_video.MaskWriter("cvat.xml", "CVAT: masks of images, or tracks of polygons", _write_cvat, attributes=True)
