"""LabelMe's JSON, a file for each image: https://github.com/wkentaro/labelme."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from aotlab.masks.exchange.matching import numbers_of, stem_of
from aotlab.masks.exchange.regions import Found, Size, require_size, runs_of_part, runs_of_polygons
from aotlab.masks.exchange.safe_files import ContentError, has_fields
from aotlab.media.images import describe_error


def is_labelme(tree: Any) -> bool:
    """Return whether JSON is a file of LabelMe."""
    return has_fields(tree, "shapes", "imageHeight")


def parse_labelme(trees: Sequence[Any], size: Size) -> list[Found]:
    """Return the objects of several images of one video; shapes with the same label and group are one object.

    Raises:
        ContentError: another size, a shape that cannot be drawn, or neither a polygon nor a mask.
    """
    names = [str(tree.get("imagePath", "")) for tree in trees]
    found = []
    for tree, frame, name in zip(trees, numbers_of(names), names, strict=True):
        require_size(tree["imageHeight"], tree["imageWidth"], size)
        for shape in tree["shapes"]:
            runs = _runs(shape, size)
            if runs is not None:
                label, group = str(shape.get("label", "")), shape.get("group_id")
                key = None if group is None else (label, str(group))
                found.append(Found(frame, runs, label, key, stem_of(name)))
    if not found:
        raise ContentError("holds no polygon or mask; draw the objects as one of these")
    return found


def _runs(shape: dict[str, Any], size: Size) -> np.ndarray | None:
    """Return the pixels of a polygon or mask; None for other shapes."""
    kind = shape.get("shape_type", "polygon")
    if kind == "polygon":
        return runs_of_polygons([[side for x, y in shape["points"] for side in (x, y)]], size)
    if kind != "mask":
        return None
    try:  # the mask of the box between two points is an image as base64 text
        left, top = (int(value) for value in shape["points"][0])
        with Image.open(BytesIO(base64.b64decode(shape.get("mask") or "", validate=True))) as image:
            if image.width > size[1] or image.height > size[0]:
                raise ValueError("it is larger than its image")
            inside = np.array(image.convert("L")) > 0
    except Exception as error:  # decoders raise all kinds of errors
        raise ContentError(f"a mask that cannot be read ({describe_error(error)}); save it again") from error
    return runs_of_part(inside, left, top, size)
