"""LabelMe's JSON, a file for each image: https://github.com/wkentaro/labelme."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

import aotlab_video
from aotlab_studio import formats
from aotlab_studio.formats import Size
from aotlab_video import Items, Point, Text


class Shape(BaseModel):
    """A region."""

    label: Text = ""
    group_id: Any = None
    shape_type: Text = ""
    points: Items[Point] = []
    mask: Text = ""


class LabelMeFile(BaseModel):
    """An image; its shapes are checked one by one."""

    shapes: Items[Any]
    name: Text = Field("", alias="imagePath")
    height: Any = Field(None, alias="imageHeight")
    width: Any = Field(None, alias="imageWidth")


def is_labelme(tree: Any) -> bool:
    return isinstance(tree, dict) and "shapes" in tree and not tree.keys().isdisjoint({"imageHeight", "imagePath"})


def parse_labelme(trees: Mapping[Path, Any], size: Size) -> aotlab_video.ParsedFile:
    """Return the objects of several images of one video, by file; shapes with the same label and group are one object.

    Files in other formats are left out.
    """
    files = {path: LabelMeFile.model_validate(tree) for path, tree in trees.items() if is_labelme(tree)}
    names = {path: file.name or path.name for path, file in files.items()}
    aotlab_video.require_different_images([*names.values()])
    parser = aotlab_video.RegionParser(size)
    for path in trees:
        if path not in files:
            with parser.locate(path.name):
                parser.leave_out("file", "in another format")
            continue
        file, name = files[path], names[path]
        if not file.shapes:
            parser.add_absent(aotlab_video.ParsedRegion(None, None, image=name))
        if file.height is not None:  # other programs leave the size out
            with parser.locate(name):
                aotlab_video.require_size(file.height, file.width, size)
        for count, record in enumerate(file.shapes, start=1):
            with parser.skip_unreadable(f"{name}, shape {count}"):
                shape = Shape.model_validate(record)
                key = None if shape.group_id is None else aotlab_video.GroupKey(shape.label, str(shape.group_id))
                region = aotlab_video.ParsedRegion(None, None, shape.label, key, name)
                kind = shape.shape_type or "polygon"
                if kind == "polygon":
                    parser.add(replace(region, rle=parser.fill([[side for point in shape.points for side in point]])))
                elif kind == "mask":
                    left, top = map(int, next(iter(shape.points), (-1, -1)))
                    part = formats.decode_png(shape.mask)
                    parser.add(replace(region, rle=formats.place_mask(part, left, top, size)))
                elif kind == "rectangle":
                    parser.add(replace(region, box=formats.find_bounds(shape.points)))
                else:
                    parser.leave_out("shape", f"of kind {kind}")
    return parser.finish()
