"""LabelMe's JSON, a file for each image: https://github.com/wkentaro/labelme."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import aotlab_video
from aotlab_studio import formats
from aotlab_studio.formats import Size


def is_labelme(tree: Any) -> bool:
    return isinstance(tree, dict) and "shapes" in tree and not tree.keys().isdisjoint({"imageHeight", "imagePath"})


def parse_labelme(trees: Mapping[Path, Any], size: Size) -> aotlab_video.ParsedFile:
    """Return the objects of several images of one video, by file; shapes with the same label and group are one object.

    Files in other formats are left out.
    """
    names = {path: str(tree.get("imagePath") or path.name) for path, tree in trees.items() if is_labelme(tree)}
    aotlab_video.require_different_images([*names.values()])
    parser = aotlab_video.RegionParser(size)
    for path, tree in trees.items():
        with parser.locate(path.name):
            if (name := names.get(path)) is None:
                parser.leave_out("file", "in another format")
                continue
        if not tree["shapes"]:
            parser.add_absent(aotlab_video.ParsedRegion(None, None, image=name))
        if tree.get("imageHeight") is not None:  # other programs leave the size out
            with parser.locate(name):
                aotlab_video.require_size(tree["imageHeight"], tree["imageWidth"], size)
        for count, shape in enumerate(tree["shapes"], start=1):
            with parser.skip_unreadable(f"{name}, shape {count}"):
                label, group = str(shape.get("label", "")), shape.get("group_id")
                key = None if group is None else aotlab_video.GroupKey(label, str(group))
                region = aotlab_video.ParsedRegion(None, None, label, key, name)
                kind = str(shape.get("shape_type") or "polygon")
                if kind == "polygon":
                    rle = parser.fill([[side for x, y in shape["points"] for side in (x, y)]])
                    parser.add(replace(region, rle=rle))
                elif kind == "mask":
                    left, top = map(int, shape["points"][0])
                    part = formats.decode_png(shape.get("mask") or "")
                    parser.add(replace(region, rle=formats.place_mask(part, left, top, size)))
                elif kind == "rectangle":
                    parser.add(replace(region, box=formats.find_bounds(shape["points"])))
                else:
                    parser.leave_out("shape", f"of kind {kind}")
    return parser.finish()
