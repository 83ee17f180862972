"""CVAT's XML 1.1, for video and for images: https://docs.cvat.ai/docs/manual/advanced/xml_format."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from aotlab.masks.exchange.coco import DEFAULT_LABEL, box_of
from aotlab.masks.exchange.objects import Found, Target, annotate, stem_of
from aotlab.masks.exchange.regions import (
    Annotations,
    Size,
    outlines_of,
    pixels,
    require_size,
    runs_of,
    runs_of_polygons,
)
from aotlab.masks.exchange.safe_files import numbers, whole
from aotlab.utils.errors import InputError

AREAS = ("polygon", "mask")
"""shapes that say which pixels are an object's"""


def read_cvat(root: Element, target: Target, name: str) -> Annotations:
    """Objects of the annotated frames: of a track its key frames, as what lies between them CVAT interpolated.

    Shapes and tracks of one group are one object. Without a group a track is one, but for masks, which CVAT writes as
    tracks of one frame: those belong together by label.

    Raises:
        InputError: another size, a shape that cannot be drawn, or no shape that says which pixels are an object's.
    """
    stated = root.find(".//original_size")
    if stated is not None:
        height, width = (whole(stated.findtext(side), name) for side in ("height", "width"))
        target.require_same(require_size(height, width, name), name)
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


def write_cvat(annotations: Annotations, video: str, *, length: int, polygons: bool = False) -> bytes:
    """CVAT for video 1.1 of a tracked video, in which all that is of one object has its id as ``group_id``.

    CVAT has no tracks of masks, so each mask is a track of one frame, as in its own exports. Tracks of polygons are
    less exact, as holes are filled: one for the largest part of an object, one for the second, and so on.

    Args:
        annotations: the objects; those without pixels on a frame are left out of it.
        video: the task's name.
        length: number of frames.
        polygons: write tracks of polygons in place of masks.
    """
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    names = {number: annotations.labels.get(number, DEFAULT_LABEL) for number in annotations.objects()}
    kind = "polygon" if polygons else "mask"
    _add_task(SubElement(root, "meta"), annotations.size, sorted(set(names.values())), kind, (video, length))
    shapes = _polygon_tracks(annotations) if polygons else _mask_tracks(annotations)
    for count, (number, track) in enumerate(shapes):
        attributes = {"id": count, "label": names[number], "source": "auto", "group_id": number}
        element = SubElement(root, "track", {key: str(value) for key, value in attributes.items()})
        for frame, shape in sorted(track.items()):
            _add_shape(element, frame, kind, shape, outside=False)
            if frame + 1 not in track and frame + 1 < length:
                _add_shape(element, frame + 1, kind, shape, outside=True)
    indent(root)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="utf-8") + b"\n"


def _polygon_tracks(annotations: Annotations) -> Iterator[tuple[int, dict[int, dict[str, object]]]]:
    """Objects' ids, and by frame a polygon each: of their largest parts, then of their second ones, and so on."""
    for number in annotations.objects():
        parts: dict[int, dict[int, dict[str, object]]] = {}
        for frame, regions in annotations.frames.items():
            of_object = [region for region in regions if region.object_id == number]
            outlines = [
                o
                for region in of_object
                for o in outlines_of(pixels(region.runs, annotations.size))
                if len(o) > 4
            ]
            for rank, outline in enumerate(outlines):
                points = [f"{x:.2f},{y:.2f}" for x, y in zip(outline[::2], outline[1::2], strict=True)]
                parts.setdefault(rank, {})[frame] = {"points": ";".join(points)}
        for rank in sorted(parts):
            yield number, parts[rank]


def _mask_tracks(annotations: Annotations) -> Iterator[tuple[int, dict[int, dict[str, object]]]]:
    """Objects' ids and the mask of one frame each."""
    for frame in sorted(annotations.frames):
        for region in annotations.frames[frame]:
            if region.runs[1::2].any():
                left, top, width, height = (int(value) for value in box_of(region.runs, annotations.size))
                inside = pixels(region.runs, annotations.size)[top : top + height, left : left + width]
                counts = ", ".join(str(count) for count in runs_of(inside.T))  # row by row
                box = {"left": left, "top": top, "width": width, "height": height}
                yield region.object_id, {frame: {"rle": counts, **box}}


def _add_task(meta: Element, size: Size, labels: Sequence[str], kind: str, video: tuple[str, int]) -> None:
    """What CVAT says of a task: its name and length, labels and size."""
    task = SubElement(meta, "task")
    name, length = video
    texts = {
        "name": name,
        "size": length,
        "mode": "interpolation",
        "start_frame": 0,
        "stop_frame": length - 1,
    }
    for tag, text in texts.items():
        SubElement(task, tag).text = str(text)
    names = SubElement(task, "labels")
    for label in labels:
        entry = SubElement(names, "label")
        SubElement(entry, "name").text = label
        SubElement(entry, "type").text = kind
        SubElement(entry, "attributes")
    original = SubElement(task, "original_size")
    SubElement(original, "width").text, SubElement(original, "height").text = str(size[1]), str(size[0])


def _add_shape(track: Element, frame: int, kind: str, shape: dict[str, object], *, outside: bool) -> None:
    """A shape on a frame; one that is outside says that the track is not in sight from there on."""
    state = {"frame": frame, "keyframe": 1, "outside": int(outside), "occluded": 0, **shape, "z_order": 0}
    SubElement(track, kind, {key: str(value) for key, value in state.items()})


def _of_tracks(root: Element, size: Size, name: str) -> Iterator[Found]:
    for index, track in enumerate(root.iter("track")):
        shapes = [
            shape
            for shape in track
            if shape.tag in AREAS and shape.get("outside") != "1" and shape.get("keyframe", "1") == "1"
        ]
        key: Hashable = whole(track.get("group_id", "0"), name) or None
        if key is None and not (len(shapes) == 1 and shapes[0].tag == "mask"):
            key = ("track", whole(track.get("id", str(index)), name))
        for shape in shapes:
            frame = whole(shape.get("frame"), name)
            yield Found(_frame(frame, name), _runs(shape, size, name), track.get("label", ""), key)


def _of_images(root: Element, target: Target, name: str) -> Iterator[Found]:
    """Shapes of CVAT for images, lowest ``z_order`` first."""
    for image in root.iter("image"):
        height, width = (whole(image.get(side), name) for side in ("height", "width"))
        target.require_same(require_size(height, width, name), f"{name}, picture {image.get('name', '')!r}")
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
    if any(count < 0 or count % 1 for count in counts) or sum(counts) != width * height:
        raise InputError(f"{name}: the run lengths of a mask do not fill its {width}×{height} pixels")
    whole_picture = np.zeros(size, dtype=bool)
    inside = np.repeat(np.arange(len(counts)) % 2 == 1, np.array(counts, dtype=np.int64))
    whole_picture[top : top + height, left : left + width] = inside.reshape(height, width)
    return runs_of(whole_picture)


def _frame(number: int, name: str) -> int:
    if number < 0:
        raise InputError(f"{name}: a shape on frame {number}; expected frames from 0")
    return number
