"""Datumaro's JSON, which CVAT exports too: https://open-edge-platform.github.io/datumaro."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import BaseModel

import aotlab_video
from aotlab import sdk
from aotlab_studio.formats import Size
from aotlab_video import Items, JsonBox, Number, Text


def is_datumaro(tree: Any) -> bool:
    return isinstance(tree, dict) and {"categories", "items"} <= tree.keys()


class Label(BaseModel):
    """A class."""

    name: Text


class Labels(BaseModel):
    """The classes."""

    labels: Items[Label] = []


class Categories(BaseModel):
    """The kinds of classes, of which points have none."""

    label: Labels | None = None


class Image(BaseModel):
    """Image of an item."""

    path: Text = ""
    size: Items[Any] = []


class ItemAttributes(BaseModel):
    """What an item states besides its image."""

    frame: int | None = None


class Item(BaseModel):
    """A frame; its annotations are checked one by one."""

    id: Text
    annotations: Items[Any]
    attr: ItemAttributes | None = None
    image: Image | None = None


class DatumaroFile(BaseModel):
    """The lists of a file."""

    categories: Categories
    items: Items[Item]


class RunLengths(BaseModel):
    """Run lengths of a mask."""

    size: tuple[Any, Any]
    counts: Any


class Mask(BaseModel):
    """An annotation of the type mask."""

    rle: RunLengths


class Polygon(BaseModel):
    """An annotation of the type polygon."""

    points: list[Number]


class Box(BaseModel):
    """An annotation of the type bbox."""

    bbox: JsonBox


class Annotation(BaseModel):
    """An object on a frame."""

    type: Text
    label_id: int | None = None
    group: int | None = None
    attributes: Any = None
    track_id: Any = None
    instance_id: Any = None
    object_id: Any = None
    extra: Any = None


def parse_datumaro(tree: Any, size: Size) -> aotlab_video.ParsedFile:
    """Return the objects and class ids of a file. Objects have a ``track_id``, or else a group or a class.

    CVAT writes also the frames of tracks that it interpolates; only key frames are read.
    """
    file = DatumaroFile.model_validate(tree)
    labels = [label.name for label in file.categories.label.labels] if file.categories.label else []
    items = [(item, (item.image.path if item.image else "") or item.id) for item in file.items]
    aotlab_video.require_different_images([name for _, name in items])
    parser = aotlab_video.RegionParser(size)
    for item, name in items:
        frame = item.attr.frame if item.attr else None
        if item.image and item.image.size:
            with parser.locate(name):
                height, width = item.image.size
                aotlab_video.require_size(height, width, size)
        if not item.annotations:
            parser.add_absent(aotlab_video.ParsedRegion(frame, None, image=name))
        for count, record in enumerate(item.annotations, start=1):
            with parser.skip_unreadable(f"{name}, annotation {count}"):
                annotation = Annotation.model_validate(record)
                label = "" if annotation.label_id is None else _find_label(labels, annotation.label_id)
                key = aotlab_video.read_object_key(vars(annotation))
                key = aotlab_video.GroupKey(label, annotation.group) if key is None and annotation.group else key
                others = aotlab_video.parse_attributes(annotation.attributes)
                region = aotlab_video.ParsedRegion(frame, None, label, key, name, others)
                _add_annotation(record, annotation.type, region, parser)
    return parser.finish({name: index for index, name in enumerate(labels)})


def _find_label(labels: Sequence[str], index: int) -> str:
    if not 0 <= index < len(labels):
        raise ValueError(f"class {index} of {len(labels)}")
    return labels[index]


def _add_annotation(
    record: Any, kind: str, region: aotlab_video.ParsedRegion, parser: aotlab_video.RegionParser
) -> None:
    """Add a region with the mask or box of an annotation."""
    if region.attributes.get("outside") is True:
        parser.add_absent(replace(region, rle=sdk.encode_rle(np.zeros(parser.size, bool))))
    elif region.attributes.get("keyframe") is False:
        parser.leave_out("annotation", "between key frames")
    elif kind == "mask":
        rle = Mask.model_validate(record).rle
        aotlab_video.require_size(*rle.size, parser.size)
        parser.add(replace(region, rle=sdk.parse_rle(rle.counts, parser.size)))
    elif kind == "polygon":
        parser.add(replace(region, rle=parser.fill([Polygon.model_validate(record).points])))
    elif kind == "bbox":
        parser.add(replace(region, box=Box.model_validate(record).bbox))
    else:
        parser.leave_out("annotation", f"of kind {kind}")
