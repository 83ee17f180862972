"""JSON of VGG Image Annotator, versions 1 and 2: https://www.robots.ox.ac.uk/~vgg/software/via."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator

import aotlab_video
from aotlab import InputError
from aotlab_studio.formats import Size
from aotlab_video import Fields, Items, Number, Text

CLASS_ATTRIBUTES = ("class", "label", "name", "category", "type")
"""Attributes of regions that hold class names, in any letter case; the first of these that a file has is used."""


class ViaRegion(BaseModel):
    """A region; its shape is checked when it is read."""

    region_attributes: Fields
    shape_attributes: Any


class ViaImage(BaseModel):
    """An image; its regions are a list since version 2, and are checked one by one."""

    filename: Text
    regions: Annotated[
        Items[Any], BeforeValidator(lambda value: [*value.values()] if isinstance(value, dict) else value)
    ]


class Polygon(BaseModel):
    """Coordinates of a polygon."""

    all_points_x: list[Number]
    all_points_y: list[Number]


class Rectangle(BaseModel):
    """Coordinates of a box."""

    x: Number
    y: Number
    width: Number
    height: Number


class Shape(BaseModel):
    """Kind of a shape."""

    name: Text


def find_via_images(tree: Any) -> list[dict[str, Any]] | None:
    """Return the images of a project or an export; None for a file of another format."""
    images = tree.get("_via_img_metadata", tree) if isinstance(tree, dict) else {}
    listed = [*images.values()] if isinstance(images, dict) else []
    is_via = listed and all(isinstance(image, dict) and {"filename", "regions"} <= image.keys() for image in listed)
    return listed if is_via else None


def parse_via(images: Iterable[dict[str, Any]], size: Size) -> aotlab_video.ParsedFile:
    """Return the objects of images, whose sizes the format lacks; raise `InputError` without an attribute for classes.

    Regions are matched by an attribute such as ``track_id``, or else by class.
    """
    listed = [ViaImage.model_validate(image) for image in images]
    aotlab_video.require_different_images([image.filename for image in listed])
    names = dict.fromkeys(key for image in listed for region in image.regions for key in _list_attributes(region))
    class_attribute = _find_class_attribute([name for name in names if name not in aotlab_video.OBJECT_KEYS])
    parser = aotlab_video.RegionParser(size)
    for image in listed:
        name = image.filename
        if not image.regions:
            parser.add_absent(aotlab_video.ParsedRegion(None, None, image=name))
        for count, record in enumerate(image.regions, start=1):
            with parser.skip_unreadable(f"{name}, region {count}"):
                stored = ViaRegion.model_validate(record)
                attributes = {**stored.region_attributes}
                class_names = _list_options(attributes.pop(class_attribute, ""))
                for _ in class_names[1:]:
                    parser.leave_out("class name", "of a region that has another one")
                key, others = aotlab_video.read_object_key(attributes), aotlab_video.parse_attributes(attributes)
                region = aotlab_video.ParsedRegion(None, None, next(iter(class_names), ""), key, name, others)
                _add_shape(stored.shape_attributes, region, parser)
    return parser.finish()


def _list_attributes(region: Any) -> list[str]:
    """Return the names of the attributes of a region, which is not checked yet."""
    attributes = region.get("region_attributes") if isinstance(region, dict) else None
    return [*attributes] if isinstance(attributes, dict) else []


def _find_class_attribute(names: list[str]) -> str:
    """Return the attribute of class names; raise `InputError` for several attributes, none of which is called so."""
    by_fold = {name.casefold(): name for name in names}
    found = next((by_fold[name] for name in CLASS_ATTRIBUTES if name in by_fold), None)
    if found is None and len(names) > 1:
        raise InputError(f"no attribute of its regions is called class ({', '.join(names)})", remedy="rename one")
    return found or next(iter(names), "")


def _list_options(value: Any) -> list[str]:
    """Return the text of a value, or the checked options of a checkbox."""
    options = [name for name, checked in value.items() if checked] if isinstance(value, dict) else [value]
    return [str(option) for option in options if option != ""]


def _add_shape(shape: Any, region: aotlab_video.ParsedRegion, parser: aotlab_video.RegionParser) -> None:
    """Add a region with the mask or box of a shape."""
    kind = Shape.model_validate(shape).name
    if kind == "polygon":
        sides = Polygon.model_validate(shape)
        points = zip(sides.all_points_x, sides.all_points_y, strict=True)
        parser.add(replace(region, rle=parser.fill([[side for point in points for side in point]])))
    elif kind == "rect":
        box = Rectangle.model_validate(shape)
        parser.add(replace(region, box=(box.x, box.y, box.width, box.height)))
    else:
        parser.leave_out("shape", f"of kind {kind}")
